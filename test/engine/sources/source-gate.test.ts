import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Observation } from "../../../src/domain/calls/call.ts";
import { SourceGate } from "../../../src/engine/sources/source-gate.ts";
import type { SourceGateOptions } from "../../../src/engine/sources/source-gate.ts";
import type { QueuedPoll } from "../../../src/engine/sources/fair-poll-queue.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { seen } from "../../harness/observations.ts";
import { queuedPoll } from "../../harness/polling.ts";

const fine: Observation = seen("calling");
const missing: Observation = { kind: "not_found" };
const broken: Observation = { kind: "failed", code: "server_error", detail: "HTTP 500" };
const unauthorized: Observation = { kind: "unauthorized", statusCode: 401 };
const limited = (retryAfterMs: number | null = null): Observation => ({ kind: "rate_limited", retryAfterMs });

function repeat(accountId = "a"): QueuedPoll {
  return queuedPoll({ accountId });
}

function first(): QueuedPoll {
  return queuedPoll({ isFirstPoll: true });
}

class GateWorld {
  readonly clock = new FakeClock(undefined, 0);
  readonly gate: SourceGate<QueuedPoll>;

  constructor(maxPollsPerSecond = 200, options: Partial<SourceGateOptions> = {}) {
    const source = { id: "src_1", name: "default", kind: "polyai-legacy", maxPollsPerSecond } as const;
    const { clock } = this;
    this.gate = new SourceGate({ source, clock, intervalMinMs: 2000, intervalMaxMs: 5000, corroborationMs: 600_000, ...options });
  }

  get state(): string {
    const { state, reason } = this.gate.health();
    return reason === null ? state : `${state}: ${reason}`;
  }

  queue(...entries: readonly QueuedPoll[]): void {
    for (const entry of entries) this.gate.queue.add(entry);
  }

  /** Everything that may go now. */
  takeAll(): readonly QueuedPoll[] {
    const taken: QueuedPoll[] = [];
    for (let entry = this.gate.next(); entry !== null; entry = this.gate.next()) taken.push(entry);
    return taken;
  }

  /** Polls everything that may go now; returns how many polls that were. */
  pollQueued(): number {
    let polls = 0;
    for (let entry = this.gate.next(); entry !== null; entry = this.gate.next()) {
      this.gate.record(entry, fine);
      polls += 1;
    }
    return polls;
  }

  /** Polls one call of its own, now. */
  poll(observation: Observation): string {
    const entry = first();
    this.queue(entry);
    expect(this.gate.next()).toBe(entry);
    return this.gate.record(entry, observation);
  }

  pollAll(good: number, bad: number): void {
    for (let count = 0; count < good; count++) this.poll(fine);
    for (let count = 0; count < bad; count++) this.poll(broken);
  }

  /** Waits for the next probe: how long it took, and what its answer did. */
  async probe(observation: Observation): Promise<readonly [waitedMs: number, change: string]> {
    const startMs = this.clock.monotonicMs();
    this.queue(repeat());
    const waitMs = this.gate.waitMs ?? Number.NaN;
    if (waitMs > 1) {
      await this.clock.advance(waitMs - 1);
      expect(this.gate.next()).toBeNull();
      await this.clock.advance(1);
    }
    const probes = this.takeAll();
    expect(probes).toHaveLength(1);
    return [this.clock.monotonicMs() - startMs, this.gate.record(probes[0] ?? repeat(), observation)];
  }
}

/** A source with one account, for some time after the last call of another. */
async function leftTo(accountId: string, aloneForMs: number): Promise<GateWorld> {
  const world = new GateWorld(200);
  for (const account of [accountId, "victim"]) world.gate.rate.changeLoad(account, 0, 1);
  world.queue(queuedPoll({ accountId: "victim", isFirstPoll: true }));
  world.pollQueued();
  world.gate.rate.changeLoad("victim", 0, -1);
  await world.clock.advance(aloneForMs);
  return world;
}

describe("the rate", () => {
  test("no second sees more polls than the rate, however first polls and repeats come", async () => {
    const arrivals = fc.array(fc.record({ gapMs: fc.nat(400), firsts: fc.nat(8), repeats: fc.nat(8) }), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 12 }), arrivals, async (perSecond, rounds) => {
        const world = new GateWorld(perSecond);
        const sentAtMs: number[] = [];
        for (const { gapMs, firsts, repeats } of rounds) {
          await world.clock.advance(gapMs);
          world.queue(...Array.from({ length: firsts }, first), ...Array.from({ length: repeats }, () => repeat()));
          for (const entry of world.takeAll()) {
            sentAtMs.push(world.clock.monotonicMs());
            world.gate.record(entry, fine);
          }
        }
        for (const startMs of sentAtMs)
          expect(sentAtMs.filter((atMs) => atMs >= startMs && atMs < startMs + 1000).length).toBeLessThanOrEqual(perSecond);
      }),
      { numRuns: 50 },
    );
  });

  test("first polls go ahead, on half of the rate while repeats are due", () => {
    const world = new GateWorld(10);
    world.queue(...Array.from({ length: 20 }, first), ...Array.from({ length: 20 }, () => repeat()));
    const taken = world.takeAll().map((entry) => entry.isFirstPoll);
    expect(taken).toEqual([...Array.from({ length: 5 }, () => true), ...Array.from({ length: 5 }, () => false)]);
  });

  test("a first poll waits less than 90 ms beside two thousand of another account, also when its repeats come due", async () => {
    for (const repeatsFrom of [0, 25]) {
      const world = new GateWorld(200);
      for (const account of ["victim", "other"]) world.gate.rate.changeLoad(account, 0, 1);
      world.queue(...Array.from({ length: 2000 }, () => queuedPoll({ accountId: "other", isFirstPoll: true })));
      for (let round = 0; round < 40; round++) {
        if (round >= repeatsFrom) world.queue(...Array.from({ length: 200 }, () => repeat("other")));
        const call = queuedPoll({ accountId: "victim", isFirstPoll: true });
        world.queue(call);
        let waitedMs = 0;
        for (let passedMs = 0; passedMs < 97; passedMs++) {
          for (const entry of world.takeAll()) world.gate.record(entry, fine);
          if (call.isQueued) waitedMs = passedMs + 1;
          await world.clock.advance(1);
        }
        expect(waitedMs).toBeLessThan(90);
      }
    }
  });

  test("nor does the next call of an account that had one just now wait for the burst of another", async () => {
    const world = await leftTo("other", 60_000);
    world.queue(...Array.from({ length: 300 }, () => queuedPoll({ accountId: "other", isFirstPoll: true })));
    expect(world.pollQueued()).toBe(101);
    world.gate.rate.changeLoad("victim", 0, 1);
    world.queue(queuedPoll({ accountId: "victim", isFirstPoll: true }));
    expect(world.gate.waitMs).toBeLessThan(15);
  });

  test("an account that has been alone for ten minutes has the whole second at once", async () => {
    const world = await leftTo("other", 600_000);
    world.queue(...Array.from({ length: 300 }, () => queuedPoll({ accountId: "other", isFirstPoll: true })));
    expect(world.pollQueued()).toBe(200);
  });

  test("first polls alone have the whole rate", () => {
    const world = new GateWorld(10);
    world.queue(...Array.from({ length: 20 }, first));
    expect(world.takeAll()).toHaveLength(10);
  });

  test("the immediate second try counts", () => {
    const world = new GateWorld(2);
    world.queue(first(), first());
    expect(world.gate.next()).not.toBeNull();
    expect([world.gate.takeToken(), world.gate.takeToken()]).toEqual([true, false]);
    expect(world.gate.next()).toBeNull();
  });

  test("at most `maxInFlight` polls are on the wire at once", () => {
    const world = new GateWorld(200, { maxInFlight: 3 });
    world.queue(...Array.from({ length: 5 }, first));
    const taken = world.takeAll();
    expect(taken).toHaveLength(3);
    expect(world.gate.waitMs).toBeNull();
    world.gate.record(taken[0] ?? first(), fine);
    expect(world.takeAll()).toHaveLength(1);
  });
});

describe("the interval", () => {
  test("is stretched evenly by the load; above the operator's bound the source is slowed", () => {
    const world = new GateWorld(10);
    world.poll(fine);
    for (let calls = 0; calls < 20; calls++) world.gate.rate.changeLoad("a", 0, 1);
    expect(world.gate.rate.intervalMs("a")).toBe(2000);
    for (let calls = 0; calls < 20; calls++) world.gate.rate.changeLoad("a", 0, 1);
    expect([world.gate.rate.intervalMs("a"), world.state]).toEqual([4000, "ok"]);
    for (let calls = 0; calls < 60; calls++) world.gate.rate.changeLoad("a", 0, 1);
    expect([world.gate.rate.intervalMs("a"), world.state]).toEqual([10_000, "slowed: interval"]);
    for (let calls = 0; calls < 100; calls++) world.gate.rate.changeLoad("a", 0, -1);
    expect([world.gate.rate.intervalMs("a"), world.state]).toEqual([2000, "ok"]);
  });

  test("an account alone asks for more than its part: it is slowed and refused, the others are not", () => {
    const world = new GateWorld(1);
    world.poll(fine);
    for (let calls = 0; calls < 1800; calls++) world.gate.rate.changeLoad("large", 0, 1);
    world.gate.rate.changeLoad("small", 0, 1);
    expect(world.gate.healthFor("small")).toMatchObject({ state: "ok", reason: null, sinceMs: null, intervalMs: 2000 });
    expect(world.gate.healthFor("large")).toMatchObject({ state: "slowed", reason: "interval", intervalMs: 3_600_000 });
    expect(world.gate.health()).toMatchObject({ state: "slowed", intervalMs: 3_600_000 });
    const saturated = ["large", "small", "newcomer"].map((account) => world.gate.rate.isSaturatedBy(account, 1));
    expect(saturated).toEqual([true, false, false]);
    expect([world.gate.rate.isSaturatedBy("small", 899), world.gate.rate.isSaturatedBy("small", 900)]).toEqual([false, true]);
  });

  test("a source is saturated when the interval would pass half an hour", () => {
    const world = new GateWorld(0.1);
    for (let calls = 0; calls < 100; calls++) world.gate.rate.changeLoad("a", calls % 2 === 0 ? 0 : 120_000, 1);
    expect([world.gate.rate.isSaturatedBy("a", 80), world.gate.rate.isSaturatedBy("a", 81)]).toEqual([false, true]);
  });
});

describe("401 and 403", () => {
  test.each([
    [401, "suspended: unauthorized"],
    [403, "suspended: forbidden"],
  ] as const)("%d suspends the source: one probe at a time, 5 s doubling to 60 s", async (statusCode, state) => {
    const world = new GateWorld();
    expect(world.poll({ kind: "unauthorized", statusCode })).toBe("suspended");
    expect(world.state).toBe(state);
    world.queue(...Array.from({ length: 50 }, () => repeat()));
    const waits: number[] = [];
    for (let probe = 0; probe < 6; probe++) {
      const [waitedMs, change] = await world.probe({ kind: "unauthorized", statusCode });
      expect(change).toBe("none");
      waits.push(waitedMs);
    }
    expect(waits).toEqual([5000, 10_000, 20_000, 40_000, 60_000, 60_000]);
  });

  test.each([
    ["a status", fine],
    ["404", missing],
    ["400", { kind: "rejected" }],
    ["a redirect", { kind: "failed", code: "redirect", detail: "answered 302" }],
    ["no JSON", { kind: "failed", code: "not_json", detail: "answered 200 without a status in JSON" }],
    ["405", { kind: "failed", code: "unexpected_status", detail: "answered 405" }],
  ] as const)("%s as a probe's answer resumes all", async (_name, observation) => {
    const world = new GateWorld();
    world.poll(unauthorized);
    world.queue(...Array.from({ length: 5 }, () => repeat()));
    expect(await world.probe(observation)).toEqual([5000, "resumed"]);
    expect(world.takeAll()).toHaveLength(5);
  });

  test.each([
    ["429", limited(1000)],
    ["5xx", broken],
    ["no answer in time", { kind: "failed", code: "timeout", detail: "" }],
    ["a reset", { kind: "failed", code: "reset", detail: "ECONNRESET" }],
  ] as const)("%s as a probe's answer resumes nothing", async (_name, observation) => {
    const world = new GateWorld();
    world.poll(unauthorized);
    expect(await world.probe(observation)).toEqual([5000, "none"]);
    expect(await world.probe(fine)).toEqual([10_000, "resumed"]);
  });

  test("the next probe is a call that has answered before, not a new one", async () => {
    const world = new GateWorld();
    world.poll(unauthorized);
    const call = queuedPoll({ hasAnswered: true });
    world.queue(repeat(), first(), call);
    await world.clock.advance(60_000);
    expect(world.takeAll()).toEqual([call]);
  });

  test("answers to polls that were on the wire neither resume nor count as probes", async () => {
    const world = new GateWorld();
    const [early, late, later] = [first(), first(), first()];
    world.queue(early, late, later);
    expect(world.takeAll()).toHaveLength(3);
    world.gate.record(early, unauthorized);
    expect(world.gate.record(late, fine)).toBe("none");
    expect(world.state).toBe("suspended: unauthorized");
    world.queue(repeat(), repeat());
    await world.clock.advance(5000);
    const [probe] = world.takeAll();
    expect(world.gate.record(later, unauthorized)).toBe("none");
    expect(world.takeAll()).toEqual([]);
    expect(world.gate.record(probe ?? first(), fine)).toBe("resumed");
  });

  test("a Retry-After longer than the next probe is waited for without a wake in between", async () => {
    const world = new GateWorld();
    world.poll(unauthorized);
    await world.probe(limited(90_000));
    world.queue(repeat());
    expect(world.gate.waitMs).toBe(90_000);
  });
});

/** Two accounts have calls on the source. */
function sharedWorld(): GateWorld {
  const world = new GateWorld();
  for (const account of ["victim", "other"]) world.gate.rate.changeLoad(account, 0, 1);
  return world;
}

function pollAs(world: GateWorld, given: Partial<QueuedPoll>, observation: Observation): string {
  const entry = queuedPoll(given);
  world.queue(entry);
  expect(world.gate.next()).toBe(entry);
  return world.gate.record(entry, world.gate.attribute(entry, observation));
}

describe("trouble of some calls alone", () => {
  test("a thousand SIDs of one account that fail do not open the circuit; as soon as another account fails too, they do", () => {
    const world = sharedWorld();
    for (let polls = 0; polls < 100; polls++) pollAs(world, { accountId: "other" }, broken);
    expect(world.state).toBe("unproven");
    pollAs(world, { accountId: "victim" }, broken);
    expect(world.state).toBe("circuit_open: upstream_errors");
  });

  test("calls that answered before open it, also those of one account", () => {
    const world = sharedWorld();
    for (let polls = 0; polls < 10; polls++) pollAs(world, { accountId: "other", hasAnswered: true }, broken);
    expect(world.state).toBe("circuit_open: upstream_errors");
  });

  test("ten unknown SIDs of one account are not a misconfigured source beside another account", () => {
    const world = sharedWorld();
    const calls = Array.from({ length: 20 }, () => queuedPoll({ accountId: "other" }));
    expect(calls.map((call) => world.gate.recordUncorroboratedFailure(call))).not.toContain("suspended");
    for (let answered = 0; answered < 9; answered++)
      world.gate.recordUncorroboratedFailure(queuedPoll({ accountId: "other", hasAnswered: true }));
    expect(world.state).toBe("unproven");
    expect(world.gate.recordUncorroboratedFailure(queuedPoll({ accountId: "victim" }))).toBe("suspended");
  });

  test("a 403 while another call answers is that call's alone; 10 s later it suspends the source", async () => {
    const world = sharedWorld();
    const forbidden: Observation = { kind: "unauthorized", statusCode: 403 };
    pollAs(world, { accountId: "victim" }, fine);
    expect(pollAs(world, { accountId: "other" }, forbidden)).toBe("none");
    expect(pollAs(world, { accountId: "other" }, unauthorized)).toBe("suspended");
    const late = sharedWorld();
    pollAs(late, { accountId: "victim" }, fine);
    await late.clock.advance(10_001);
    expect(pollAs(late, { accountId: "other" }, forbidden)).toBe("suspended");
  });

  test("its own 200 does not excuse a call's 403", () => {
    const world = sharedWorld();
    const call = queuedPoll({ hasAnswered: true });
    for (const observation of [fine, { kind: "unauthorized", statusCode: 403 } as const]) {
      world.queue(call);
      expect(world.gate.next()).toBe(call);
      world.gate.record(call, world.gate.attribute(call, observation));
    }
    expect(world.state).toBe("suspended: forbidden");
  });

  test("a probe's 403 resumes nothing, however soon after a 200", async () => {
    const world = sharedWorld();
    pollAs(world, { accountId: "victim" }, fine);
    pollAs(world, { accountId: "other" }, unauthorized);
    const probe = queuedPoll();
    world.queue(probe);
    await world.clock.advance(5000);
    expect(world.takeAll()).toEqual([probe]);
    expect(world.gate.record(probe, world.gate.attribute(probe, { kind: "unauthorized", statusCode: 403 }))).toBe("none");
    expect(world.state).toBe("suspended: unauthorized");
  });
});

describe("429", () => {
  test("the whole source obeys Retry-After, then goes on at half of its rate, which recovers", async () => {
    const world = new GateWorld(16);
    expect(world.poll(limited(7000))).toBe("none");
    expect(world.state).toBe("slowed: rate_limited");
    world.queue(...Array.from({ length: 100 }, () => repeat()));
    expect([world.takeAll(), world.gate.waitMs, world.gate.takeToken()]).toEqual([[], 7000, false]);
    await world.clock.advance(7000);
    const taken = world.takeAll();
    expect(taken).toHaveLength(8);
    for (const entry of taken) world.gate.record(entry, fine);
    for (let second = 0; second < 17; second++) {
      await world.clock.advance(1000);
      world.gate.tick();
    }
    expect(world.state).toBe("ok");
  });

  test.each([
    ["without one", null],
    ["with a Retry-After of 0 s", 0],
  ])("%s it backs off, doubling while 429s go on, and answers of the same moment count once", async (_name, retryAfterMs) => {
    const world = new GateWorld(64);
    const waits: (number | null)[] = [];
    for (let round = 0; round < 8; round++) {
      world.queue(repeat(), repeat());
      const taken = world.takeAll();
      for (const entry of taken) world.gate.record(entry, limited(retryAfterMs));
      world.queue(repeat());
      waits.push(world.gate.waitMs);
      await world.clock.advance(world.gate.waitMs ?? 0);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  });

  test("the interval stretches with the lower rate", () => {
    const world = new GateWorld(10);
    for (let calls = 0; calls < 20; calls++) world.gate.rate.changeLoad("a", 0, 1);
    world.poll(limited(1000));
    expect(world.gate.rate.intervalMs("a")).toBe(4000);
  });
});

describe("the circuit", () => {
  test("opens when more than half of at least 10 polls in 10 s failed", () => {
    const few = new GateWorld();
    few.pollAll(0, 9);
    expect(few.state).toBe("unproven");
    const half = new GateWorld();
    half.pollAll(10, 10);
    expect(half.state).toBe("ok");
    half.poll(broken);
    expect(half.state).toBe("circuit_open: upstream_errors");
  });

  test("failures of longer ago do not count", async () => {
    const world = new GateWorld();
    world.pollAll(0, 9);
    await world.clock.advance(11_000);
    world.pollAll(0, 9);
    expect(world.state).toBe("unproven");
  });

  test("lets one probe through at a time, and closes with the first good answer, without an announcement", async () => {
    const world = new GateWorld();
    world.pollAll(0, 10);
    world.queue(...Array.from({ length: 5 }, () => repeat()));
    expect(await world.probe(broken)).toEqual([5000, "none"]);
    expect(await world.probe(missing)).toEqual([10_000, "none"]);
    expect(world.state).toBe("unproven");
    expect(world.takeAll()).toHaveLength(5);
  });

  test("a 401 from behind an open circuit is a suspension", async () => {
    const world = new GateWorld();
    world.pollAll(0, 10);
    expect(await world.probe(unauthorized)).toEqual([5000, "suspended"]);
    expect(world.state).toBe("suspended: unauthorized");
  });
});

describe("a source that denies everything", () => {
  test("is misconfigured when ten calls would end without a witness, until a parsed 200", async () => {
    const world = new GateWorld();
    const calls = Array.from({ length: 10 }, first);
    const changes = calls.map((call) => world.gate.recordUncorroboratedFailure(call));
    expect(changes).toEqual([...Array.from({ length: 9 }, () => "none"), "suspended"]);
    expect(world.state).toBe("suspended: misconfigured");
    expect(await world.probe(missing)).toEqual([5000, "none"]);
    expect(await world.probe(fine)).toEqual([10_000, "corroborated"]);
    expect(world.state).toBe("ok");
    expect(calls.slice(0, 9).map((call) => world.gate.recordUncorroboratedFailure(call))).not.toContain("suspended");
  });

  test("the same call again, or one that is in that position no more, is not one more", () => {
    const world = new GateWorld();
    const calls = Array.from({ length: 9 }, first);
    for (const call of [...calls, ...calls]) world.gate.recordUncorroboratedFailure(call);
    expect(world.state).toBe("unproven");
    world.gate.clearUncorroborated(calls[0] ?? first());
    world.gate.recordUncorroboratedFailure(first());
    expect(world.state).toBe("unproven");
    expect(world.gate.recordUncorroboratedFailure(first())).toBe("suspended");
  });

  test("a parsed 200 of a poll that was on the wire lifts it too", () => {
    const world = new GateWorld();
    const onTheWire = first();
    world.queue(onTheWire);
    world.takeAll();
    for (let count = 0; count < 10; count++) world.gate.recordUncorroboratedFailure(first());
    expect(world.gate.record(onTheWire, fine)).toBe("corroborated");
  });
});

describe("what is known of the source", () => {
  test("it is proven by a parsed 200, for the witness span", async () => {
    const world = new GateWorld();
    expect(world.gate.health()).toMatchObject({ state: "unproven", reason: null, lastGoodPollAtMs: null, intervalMs: 2000 });
    world.poll(missing);
    expect(world.state).toBe("unproven");
    world.poll(fine);
    expect(world.gate.health()).toMatchObject({ state: "ok", sinceMs: world.clock.nowMs(), lastGoodPollAtMs: world.clock.nowMs() });
    await world.clock.advance(600_001);
    expect(world.state).toBe("unproven");
  });

  test("setting the wall clock makes the witness neither older nor younger", async () => {
    const world = new GateWorld();
    world.poll(fine);
    await world.clock.advance(1000);
    world.clock.setWall(world.clock.nowMs() + 86_400_000);
    expect(world.gate.lastGoodPollAtMs).toBe(world.clock.nowMs() - 1000);
    expect(world.state).toBe("ok");
  });
});
