import { afterEach, describe, expect, it } from "vitest";
import type { TestInstance } from "../../harness/postgres/postgres-database.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import { answered, day, minute, ok, second, startMs, statusChange, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";
import type { WatchedCall } from "../../../src/ports/stores/call-store.ts";
import type { SendJob } from "../../../src/ports/stores/send-job.ts";

let database: TestPostgres;
let instances: TestInstance[] = [];

afterEach(async () => {
  await Promise.all(instances.map(({ store }) => store.close()));
  instances = [];
  await database.dispose();
});

/** Returns a generator of numbers from 0 to 1 that is the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

/** One server: polls its calls, sends its leased jobs and serves requests of clients. */
class Player {
  readonly world: StoreWorld;
  readonly #random: () => number;
  readonly #calls = new Map<string, WatchedCall>();
  readonly #jobs: SendJob[] = [];
  readonly #watches: { readonly accountId: string; readonly watchId: string }[] = [];
  readonly #hooks: { readonly accountId: string; readonly hookId: string }[] = [];
  #registered = 0;
  readonly #name: string;

  constructor(instance: TestInstance, name: string, random: () => number) {
    this.world = new StoreWorld(instance.store);
    this.#name = name;
    this.#random = random;
  }

  async play(): Promise<void> {
    const die = this.#random();
    if (die < 0.3) return this.#register();
    if (die < 0.55) return this.#transition();
    if (die < 0.8) return this.#attempt();
    if (die < 0.87) return this.#claim();
    if (die < 0.92) return this.#remove();
    if (die < 0.94) return this.#hook();
    if (die < 0.97) return this.#patch();
    return this.#recover();
  }

  /** Releases the jobs that are left. */
  async release(): Promise<void> {
    await this.world.release(this.#jobs.splice(0));
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.#random() * items.length)];
  }

  async #register(): Promise<void> {
    const shared = this.#random() < 0.4;
    const callSid = shared ? `OUT-shared-${Math.floor(this.#random() * 12)}` : `OUT-${this.#name}-${this.#registered++}`;
    const url = `https://r${Math.floor(this.#random() * 3)}.example/${Math.floor(this.#random() * 3)}`;
    const result = await this.world.register(callSid, { url, polledAtMs: this.world.nowMs });
    if (result.kind !== "created") return;
    const { accountId, id: watchId } = result.view.watch;
    this.#watches.push({ accountId, watchId });
    this.#jobs.push(...result.jobs);
    if (result.call !== null) this.#calls.set(result.call.callId, result.call);
  }

  async #transition(): Promise<void> {
    const call = this.#pick([...this.#calls.values()]);
    if (call === undefined) return;
    this.#calls.delete(call.callId);
    const next = { null: "queued", queued: "calling", calling: this.#random() < 0.5 ? "success" : "queued" }[String(call.status.status)];
    const { callId, accountId, version: expectedVersion } = call;
    const changes = [statusChange(next ?? "failure")];
    const { nowMs } = this.world;
    const result = await this.world.store.commitCall({
      callId,
      accountId,
      expectedVersion,
      nowMs,
      lastGoodPollAtMs: nowMs,
      confirmed: true,
      changes,
    });
    if (result.kind === "committed") this.#jobs.push(...result.jobs);
    if (result.call !== null) this.#calls.set(callId, result.call);
  }

  async #attempt(): Promise<void> {
    const job = this.#jobs.splice(Math.floor(this.#random() * this.#jobs.length), 1)[0];
    if (job === undefined) return;
    const die = this.#random();
    const outcome = die < 0.75 ? ok : die < 0.93 ? answered(500) : die < 0.985 ? answered(429, "1") : answered(410);
    const recorded = await this.world.attempt(job, outcome);
    if (recorded.kind === "recorded") this.#jobs.push(...recorded.jobs);
  }

  async #claim(): Promise<void> {
    this.world.pass(2 * second);
    this.#jobs.push(...(await this.world.claim({ limit: 8 })).jobs);
  }

  async #remove(): Promise<void> {
    const watch = this.#pick(this.#watches);
    if (watch !== undefined)
      await this.world.store.removeWatch({ by: null, ...watch, purge: this.#random() < 0.3, nowMs: this.world.nowMs });
  }

  async #hook(): Promise<void> {
    const { nowMs, store } = this.world;
    const hook = this.#hooks.pop();
    if (hook !== undefined) return void (await store.removeHook({ by: null, ...hook, nowMs }));
    const made = await this.world.registerHook(`https://r${Math.floor(this.#random() * 3)}.example/0`, {
      events: this.#random() < 0.5 ? null : ["terminal"],
    });
    if (made.kind === "created") this.#hooks.push({ accountId: made.view.accountId, hookId: made.view.id });
  }

  async #patch(): Promise<void> {
    const { id: accountId } = await this.world.account();
    const { data } = await this.world.store.listEndpoints({ accountId, limit: 20, cursor: null });
    const endpoint = this.#pick(data)?.endpoint;
    const state = this.#pick(["enabled", "enabled", "paused", "disabled"] as const) ?? "enabled";
    if (endpoint !== undefined)
      await this.world.store.patchEndpoint({ by: null, accountId, endpointId: endpoint.id, patch: { state }, nowMs: this.world.nowMs });
  }

  async #recover(): Promise<void> {
    const { nowMs, store } = this.world;
    const { id: accountId } = await this.world.account();
    const { data } = await store.listEndpoints({ accountId, limit: 20, cursor: null });
    const endpoint = this.#pick(data)?.endpoint;
    if (endpoint !== undefined) await store.recover({ by: null, accountId, endpointId: endpoint.id, sinceMs: 0, untilMs: nowMs, nowMs });
  }
}

describe("several servers doing everything at once", () => {
  it.each([1, 2])("leave nothing stuck, miscounted or notified twice (seed %i)", { timeout: 120_000 }, async (seed) => {
    database = await TestPostgres.create();
    const policy = { ...testPolicy, scheduleMs: [0, second, second] };
    instances = [await database.openAlone(policy), await database.openBeside(policy), await database.openBeside(policy)];
    const random = seeded(seed);
    const players = instances.map((instance, n) => new Player(instance, String(n), random));
    for (let round = 0; round < 25; round++) await Promise.all(players.flatMap((player) => Array.from({ length: 8 }, () => player.play())));
    for (const player of players) await player.release();

    const [{ db, store }] = instances as [TestInstance];
    const count = async (sql: string) => (await db.get(sql))?.["n"];
    // The events of each watch have sequences without a gap.
    expect(
      await count("select count(*) as n from watches w where w.sequence <> (select count(*) from events e where e.watch_id = w.id)"),
    ).toBe(0);
    expect(
      await count(
        "select count(*) as n from (select watch_id, max(sequence) as last, count(*) as n from events group by watch_id) e where watch_id is not null and last <> n",
      ),
    ).toBe(0);
    // A call without an active watch is not watched; a watched call has an owner.
    expect(
      await count(
        `select count(*) as n from calls c where c.watched <> exists (select 1 from watches w where w.call_id = c.id and w.status = 'active')
           or (c.watched and not exists (select 1 from instances i where i.token = c.owner_token))`,
      ),
    ).toBe(0);
    expect(
      await count("select count(*) as n from watches w join calls c on c.id = w.call_id where c.terminal and w.status = 'active'"),
    ).toBe(0);
    // A call is deleted with its last watch.
    expect(await count("select count(*) as n from calls c where not exists (select 1 from watches w where w.call_id = c.id)")).toBe(0);
    // The counts match the rows.
    const stats = await store.readStats();
    for (const [status, n] of Object.entries(stats.watchesByStatus))
      expect([status, await count(`select count(*) as n from watches where status = '${status}'`)]).toEqual([status, n]);
    for (const [status, n] of Object.entries(stats.deliveriesByStatus))
      expect([status, await count(`select count(*) as n from deliveries where status = '${status}'`)]).toEqual([status, n]);
    // No pending delivery is forgotten: once all endpoints are enabled again, all are sent, in the order of their lanes.
    const world = new StoreWorld(store);
    world.nowMs = startMs + day;
    const { id: accountId } = await world.account();
    for (const { endpoint } of (await store.listEndpoints({ accountId, limit: 100, cursor: null })).data)
      await store.patchEndpoint({ by: null, accountId, endpointId: endpoint.id, patch: { state: "enabled" }, nowMs: world.nowMs });
    const sent: SendJob[] = [];
    for (let idle = 0; idle < 3; world.pass(minute)) {
      const { jobs } = await world.claim({ limit: 200, failingLimit: 200 });
      await Promise.all(jobs.map((job) => world.record(job)));
      sent.push(...jobs);
      idle = jobs.length === 0 ? idle + 1 : 0;
    }
    expect((await store.readStats()).deliveriesByStatus["pending"]).toBe(0);
    const lanes = Map.groupBy(sent, (job) => `${"watchId" in job.event.data ? job.event.data.watchId : job.deliveryId} ${job.target.id}`);
    for (const lane of lanes.values()) {
      const sequences = lane.map((job) => ("sequence" in job.event.data ? (job.event.data.sequence ?? 0) : 0));
      expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
    }
  });
});
