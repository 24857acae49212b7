import { setImmediate } from "node:timers/promises";
import { Auditor } from "./auditor.ts";
import type { Violation } from "./evidence.ts";
import { Client } from "./client.ts";
import type { Answered, Json } from "./client.ts";
import { forgetLastLife, newDatabaseFile } from "./engine-adapter.ts";
import { FeedReader } from "./feed-reader.ts";
import { FinalAudit } from "./final-audit.ts";
import { limitsOf, numberOf } from "./plan.ts";
import type { Plan } from "./plan.ts";
import type { Plant } from "./plants.ts";
import { Random } from "./random.ts";
import { Receivers } from "./receivers.ts";
import { Scheduler } from "./scheduler.ts";
import { reseedCrypto } from "./seeded-crypto.ts";
import { Fleet } from "./fleet.ts";
import { registrationName } from "./ledger.ts";
import { StepRunner } from "./step-runner.ts";
import { Timeline } from "./timeline.ts";
import type { Dial } from "./scripted-triggers.ts";
import { Upstream } from "./upstream.ts";
import type { PollSeen } from "./upstream.ts";

export type Life = {
  readonly plan: Plan;
  readonly violations: readonly Violation[];
  readonly timeline: Timeline;
  /** Tasks that ran, and virtual time that passed. */
  readonly steps: number;
  readonly virtualMs: number;
};

const wallStartMs = Date.UTC(2026, 10, 24, 12);
const maxTasks = 200_000;
const drainLimitMs = 12 * 60_000;
const lookEveryMs = 5000;
/** Time after a step of the clock until it is known whether a process noticed. */
const clockNoticedMs = 7000;

/** Runs a whole plan: its steps, then a world without faults in which every pending delivery must arrive, then the final audit. */
export async function live(plan: Plan, plant: Plant | null = null): Promise<Life> {
  forgetLastLife();
  reseedCrypto(plan.seed);
  const file = plan.storage === "file" ? newDatabaseFile() : null;
  try {
    return await new World(plan, file?.path ?? ":memory:", plant).run();
  } finally {
    file?.remove();
  }
}

class World {
  readonly #plan: Plan;
  readonly #scheduler: Scheduler;
  readonly #timeline: Timeline;
  readonly #auditor: Auditor;
  readonly #upstream: Upstream;
  readonly #receivers: Receivers;
  readonly #life: Fleet;
  readonly #clients: readonly Client[];
  readonly #readers: readonly FeedReader[];
  readonly #runner: StepRunner;
  #openSteps = 0;
  #isOver = false;

  constructor(plan: Plan, path: string, plant: Plant | null) {
    const scheduler = new Scheduler(new Random(plan.seed, "scheduler"), wallStartMs);
    const timeline = new Timeline(() => scheduler.nowMs);
    const auditor = new Auditor(scheduler, timeline, limitsOf(plan));
    const triggers = {
      fates: new Map(plan.steps.flatMap((step) => (step.kind === "place" ? [[numberOf(step.id), step.fate] as const] : []))),
      onDial: (dial: Dial) => {
        auditor.dialled(dial);
        life.happened("trigger");
      },
      onRing: (dial: Dial) => auditor.placings.rang(dial),
      onAnswer: (dial: Dial) => auditor.placings.answeredDial(dial),
    };
    const observer = {
      onPoll: (poll: PollSeen) => auditor.pollArrived(poll),
      onAnswer: (poll: PollSeen) => {
        auditor.pollAnswered(poll);
        life.happened("poll");
      },
    };
    const upstream = new Upstream(plan.seed, scheduler, plan.calls, observer, triggers);
    const receivers = new Receivers(plan.seed, scheduler, {
      onStart: (exchange) => {
        auditor.sendStarted(exchange);
        life.happened("send");
      },
      onEnd: (exchange) => {
        auditor.sendEnded(exchange);
        life.happened("send_end");
      },
    });
    auditor.isShared = plan.instances > 1;
    const life: Fleet = new Fleet({ plan, path, scheduler, timeline, auditor, upstream, receivers, plant });
    const parts = { plan, scheduler, timeline, auditor, life };
    this.#plan = plan;
    this.#scheduler = scheduler;
    this.#timeline = timeline;
    this.#auditor = auditor;
    this.#upstream = upstream;
    this.#receivers = receivers;
    this.#life = life;
    this.#clients = Array.from({ length: plan.accounts }, (_, account) => new Client(parts, account));
    this.#readers = this.#clients.map((client) => new FeedReader(client, auditor));
    this.#runner = new StepRunner({ ...parts, clients: this.#clients, readers: this.#readers, upstream, receivers });
  }

  async run(): Promise<Life> {
    this.#direct().then(
      () => {
        this.#isOver = true;
      },
      (error: unknown) => {
        this.#auditor.violate("simulation", error instanceof Error ? (error.stack ?? error.message) : String(error));
      },
    );
    const { violations } = this.#auditor;
    while (!this.#isOver && violations.length === 0) {
      const ran = await this.#scheduler.step(Number.MAX_SAFE_INTEGER - 1);
      if (!ran) this.#auditor.violate("simulation", "nothing happens any more");
      if (this.#scheduler.steps > maxTasks) this.#auditor.violate("simulation", `${maxTasks} tasks have run and there is no end`);
    }
    this.#life.abandon();
    // What ends by that is over before another world begins.
    await setImmediate();
    return { plan: this.#plan, violations, timeline: this.#timeline, steps: this.#scheduler.steps, virtualMs: this.#scheduler.nowMs };
  }

  /** The order of a life; everything in it waits for virtual time. */
  async #direct(): Promise<void> {
    await this.#life.start();
    await this.#makeAccounts();
    for (const step of this.#plan.steps) {
      this.#openSteps += 1;
      this.#scheduler.schedule(step.atMs - this.#scheduler.nowMs, () => {
        this.#runner.run(step).then(
          () => {
            this.#openSteps -= 1;
          },
          (error: unknown) => this.#auditor.violate("simulation", error instanceof Error ? (error.stack ?? error.message) : String(error)),
        );
      });
    }
    const lastMs = this.#plan.steps.at(-1)?.atMs ?? 0;
    const clockMs = this.#plan.steps.findLast(({ kind }) => kind === "clock")?.atMs ?? 0;
    await this.#sleep(Math.max(lastMs + 1000, clockMs + clockNoticedMs) - this.#scheduler.nowMs);
    this.#heal();
    await this.#until(() => Promise.resolve(this.#openSteps === 0), 300_000, "a request is never answered");
    for (const client of this.#clients) await this.#drain(client);
    await this.#audit();
    await this.#life.stop(5000);
  }

  async #makeAccounts(): Promise<void> {
    await this.#until(() => Promise.resolve(this.#life.isUp), 60_000, "the service does not start");
    for (const [account, client] of this.#clients.entries()) {
      if (account === 0) continue;
      const created = await this.#life.operate((operator) => operator.createAccount(`account ${account}`));
      if (created === null) throw new Error("no account was made");
      client.key = created.key;
    }
  }

  #heal(): void {
    this.#timeline.note("from here on everything is well");
    this.#receivers.heal();
    this.#upstream.heal();
    this.#life.heal();
    const { unnoticedBackMs } = this.#auditor;
    if (unnoticedBackMs === 0) return;
    this.#timeline.note(`the wall clock is put right by ${unnoticedBackMs} ms`);
    this.#scheduler.wallOffsetMs += unnoticedBackMs;
    this.#auditor.noteClockStep(unnoticedBackMs);
  }

  /** Enables and recovers all endpoints of an account, and waits until no delivery is pending and no watch is active. */
  async #drain(client: Client): Promise<void> {
    // Its good polls vouch for those that end by 404.
    const sid = `OUT-witness-${client.account}`;
    this.#upstream.addCall({
      sid,
      source: "default",
      bornAtMs: 0,
      phases: [],
      ending: { status: "success", reason: "" },
      forgottenAfterMs: null,
      isRejected: false,
    });
    await this.#register(client, sid, "https://witness.example.com");
    await this.#recoverAll(client);
    await this.#until(
      async () => {
        const pending = await client.list("/v1/deliveries?status=pending");
        const active = await client.list("/v1/watches?status=active");
        if (pending.some(({ explain }) => String(explain).includes("disabled"))) await this.#recoverAll(client);
        return pending.length === 0 && active.length === 0;
      },
      drainLimitMs,
      null,
    );
    await this.#recoverAll(client);
    await this.#until(async () => (await client.list("/v1/deliveries?status=pending")).length === 0, drainLimitMs, null);
  }

  async #recoverAll(client: Client): Promise<void> {
    for (const endpoint of await client.list("/v1/endpoints")) await this.#recoverOne(client, endpoint);
  }

  async #recoverOne(client: Client, { id, url }: Json): Promise<void> {
    const known = this.#auditor.ledger.endpoints.get(url as string);
    const path = `/v1/endpoints/${String(id)}`;
    if (known !== undefined) known.openings += 1;
    await client.send({ method: "PATCH", path, body: { state: "enabled" } });
    await client.send({
      method: "POST",
      path: `${path}/recover`,
      body: { since: "2020-01-01T00:00:00.000Z", until: "2040-01-01T00:00:00.000Z" },
    });
    if (known === undefined) return;
    known.openings -= 1;
    known.closed = null;
    known.gone = null;
    known.floors = [];
    known.renewedAtMs = this.#scheduler.nowMs;
  }

  async #audit(): Promise<void> {
    const watchCounts = new Map<string, number>();
    const deliveryCounts = new Map<string, number>();
    for (const [account, client] of this.#clients.entries()) {
      const reader = this.#readers[account];
      if (reader === undefined) continue;
      const audit = new FinalAudit({ auditor: this.#auditor, upstream: this.#upstream, client, reader });
      await audit.run();
      addTo(watchCounts, audit.watchCounts);
      addTo(deliveryCounts, audit.deliveryCounts);
    }
    if (this.#auditor.limits.retentionMs < 86_400_000) return;
    await this.#checkGauges(watchCounts, deliveryCounts);
    for (const client of this.#clients) await this.#checkQuota(client);
  }

  /** The operator's gauges say what the lists say. */
  async #checkGauges(watchCounts: ReadonlyMap<string, number>, deliveryCounts: ReadonlyMap<string, number>): Promise<void> {
    const figures = await this.#life.operate((operator) => operator.figures());
    if (figures === null) return;
    for (const [what, shown, listed] of [
      ["watches", figures.watchesByStatus, watchCounts],
      ["deliveries", figures.deliveriesByStatus, deliveryCounts],
    ] as const)
      for (const [status, gauge] of Object.entries(shown))
        if (gauge !== (listed.get(status) ?? 0))
          this.#auditor.violate("gauges", `${gauge} ${what} are ${status} by the gauge, ${listed.get(status) ?? 0} by the lists`);
  }

  /** With nothing active an account may have exactly as many watches as its quota says. */
  async #checkQuota(client: Client): Promise<void> {
    const { maxActiveWatches } = this.#auditor.limits;
    if (maxActiveWatches > 100) return;
    const active = (await client.list("/v1/watches?status=active")).length;
    for (let index = active; index <= maxActiveWatches; index++) {
      const answer = await this.#register(client, `OUT-quota-${client.account}-${index}`, "https://quota.example.com");
      const isOver = index === maxActiveWatches;
      const hasEnded = (await client.list("/v1/watches?status=active")).length <= (isOver ? index - 1 : index);
      if (answer !== null && !(isOver ? [403] : [200, 201]).includes(answer.status) && !hasEnded)
        this.#auditor.violate("quota", `${answer.status} for watch ${index + 1} of ${maxActiveWatches}: ${answer.text}`);
    }
  }

  /** A registration of the simulation's own. */
  #register(client: Client, sid: string, origin: string): Promise<Answered | null> {
    const { ledger, limits } = this.#auditor;
    const url = `${origin}/${client.account}`;
    ledger.endpoint(client.account, url, limits.endpointMaxInFlight).isSecretUnknown = true;
    ledger.lostRegistrations.add(registrationName(client.account, sid, url));
    return client.send({ method: "POST", path: "/v1/watches", body: { call_sid: sid, callback_url: url } });
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#scheduler.schedule(ms, resolve));
  }

  /** `otherwise`: what is wrong when it is not so in time; null: the last look will say. */
  async #until(isSo: () => Promise<boolean>, limitMs: number, otherwise: string | null): Promise<void> {
    const endMs = this.#scheduler.nowMs + limitMs;
    while (!(await isSo())) {
      if (this.#scheduler.nowMs >= endMs) {
        if (otherwise !== null) this.#auditor.violate("nothing left", otherwise);
        return;
      }
      await this.#sleep(lookEveryMs);
    }
  }
}

function addTo(sums: Map<string, number>, counts: ReadonlyMap<string, number>): void {
  for (const [name, count] of counts) sums.set(name, (sums.get(name) ?? 0) + count);
}
