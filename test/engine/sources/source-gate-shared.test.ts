import { describe, expect, test } from "vitest";
import type { Observation } from "../../../src/domain/calls/call.ts";
import { SourceGate } from "../../../src/engine/sources/source-gate.ts";
import type { GateShare } from "../../../src/engine/sources/source-gate.ts";
import type { QueuedPoll } from "../../../src/engine/sources/fair-poll-queue.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { broken, fine, missing, queuedPoll, unauthorized } from "../../harness/polling.ts";

const limited: Observation = { kind: "rate_limited", retryAfterMs: 7000 };
const nothing: GateShare = {
  calls: 0,
  soleAccountId: null,
  uncorroborated: 0,
  recentPolls: 0,
  recentFailures: 0,
  lastGoodPollAtMs: null,
  lastUnknownStatus: null,
};

const entry = (isFirstPoll = true) => queuedPoll({ isFirstPoll });

/** Gate of one instance and the parts it published to the others. */
class SharedGateWorld {
  readonly clock = new FakeClock(undefined, 0);
  readonly published: string[] = [];
  readonly gate: SourceGate<QueuedPoll>;

  constructor(maxPollsPerSecond = 200) {
    const source = { id: "src_1", name: "default", kind: "polyai-legacy", maxPollsPerSecond } as const;
    const waits = { intervalMinMs: 2000, intervalMaxMs: 5000, corroborationMs: 600_000 };
    this.gate = new SourceGate({ source, clock: this.clock, ...waits, onShared: (part) => this.published.push(part) });
  }

  get state(): string {
    const { state, reason } = this.gate.health();
    return reason === null ? state : `${state}: ${reason}`;
  }

  /** Number of polls that may start now if `count` more wait. */
  goes(count: number): number {
    for (let added = 0; added < count; added++) this.gate.queue.add(entry(false));
    let taken = 0;
    for (let next = this.gate.next(); next !== null; next = this.gate.next()) {
      taken += 1;
      this.gate.record(next, fine("queued"));
    }
    return taken;
  }

  poll(observation: Observation): string {
    const call = entry();
    this.gate.queue.add(call);
    expect(this.gate.next()).toBe(call);
    return this.gate.record(call, observation);
  }
}

describe("the grant", () => {
  test("limits the polls of a second; without one no poll starts and no timer waits", async () => {
    const world = new SharedGateWorld(20);
    world.gate.rate.setGrant(0);
    expect([world.goes(30), world.gate.waitMs, world.gate.takeToken()]).toEqual([0, null, false]);
    world.gate.rate.setGrant(5);
    expect(world.goes(0)).toBe(5);
    world.gate.rate.setGrant(15);
    expect(world.goes(0)).toBe(10);
    await world.clock.advance(1010);
    expect(world.goes(0)).toBe(15);
  });

  test("stretches the interval, and a 429 lowers it", () => {
    const world = new SharedGateWorld(20);
    for (let calls = 0; calls < 20; calls++) world.gate.rate.changeLoad("a", 0, 1);
    world.gate.rate.setGrant(5);
    expect(world.gate.rate.intervalMs("a")).toBe(4000);
    world.poll(limited);
    expect(world.gate.rate.intervalMs("a")).toBe(8000);
    world.gate.rate.setGrant(0);
    expect(world.gate.rate.intervalMs("a")).toBe(2000);
  });
});

describe("a suspension", () => {
  test("found here is published, as is its end", async () => {
    const world = new SharedGateWorld();
    world.poll(unauthorized);
    expect(world.gate.suspension).toEqual({ reason: "unauthorized", sinceMs: world.clock.nowMs() });
    await world.clock.advance(5000);
    expect(world.poll(fine("queued"))).toBe("resumed");
    expect([world.published, world.gate.suspension]).toEqual([["suspension", "suspension"], null]);
  });

  test("adopted holds here, is not published again, and is probed 5 s after probing is allowed", async () => {
    const world = new SharedGateWorld();
    const sinceMs = world.clock.nowMs() - 3000;
    expect(world.gate.adoptSuspension({ reason: "forbidden", sinceMs })).toBe("suspended");
    expect(world.gate.health()).toMatchObject({ state: "suspended", reason: "forbidden", sinceMs });
    world.gate.setMayProbe(false);
    await world.clock.advance(60_000);
    expect([world.goes(3), world.gate.waitMs]).toEqual([0, null]);
    world.gate.setMayProbe(true);
    // The instance that probed before may have done so a moment ago.
    await world.clock.advance(4999);
    expect(world.gate.next()).toBeNull();
    expect(world.gate.waitMs).toBe(12);
    await world.clock.advance(1);
    const probe = world.gate.next() ?? entry();
    expect(world.gate.next()).toBeNull();
    expect(world.gate.record(probe, missing)).toBe("resumed");
    expect(world.published).toEqual(["suspension"]);
  });

  test.each([
    ["forbidden", "resumed"],
    ["misconfigured", "corroborated"],
    ["upstream_errors", "none"],
  ] as const)("%s that ended elsewhere has ended here", (reason, change) => {
    const world = new SharedGateWorld();
    world.gate.adoptSuspension({ reason, sinceMs: 0 });
    expect(world.gate.adoptSuspension(null)).toBe(change);
    expect([world.goes(3), world.published]).toEqual([3, []]);
  });

  test("found here and elsewhere at once is dated as it was written, and its next probe stays where it was", async () => {
    const world = new SharedGateWorld();
    world.poll(unauthorized);
    await world.clock.advance(3000);
    expect(world.gate.adoptSuspension({ reason: "unauthorized", sinceMs: 1 })).toBe("none");
    expect(world.gate.suspension).toEqual({ reason: "unauthorized", sinceMs: 1 });
    expect([world.goes(1), world.gate.waitMs]).toEqual([0, 2000]);
  });

  test("that replaces another one is adopted as it stands; the same again changes nothing", () => {
    const world = new SharedGateWorld();
    world.gate.adoptSuspension({ reason: "upstream_errors", sinceMs: 0 });
    world.gate.adoptSuspension({ reason: "unauthorized", sinceMs: 1 });
    expect(world.state).toBe("suspended: unauthorized");
    expect(world.gate.adoptSuspension({ reason: "unauthorized", sinceMs: 1 })).toBe("none");
    expect(world.gate.adoptSuspension({ reason: "upstream_errors", sinceMs: 2 })).toBe("none");
    expect(world.state).toBe("circuit_open: upstream_errors");
    world.gate.adoptSuspension({ reason: "misconfigured", sinceMs: 3 });
    expect(world.gate.adoptSuspension({ reason: "forbidden", sinceMs: 4 })).toBe("corroborated");
  });
});

describe("a throttle", () => {
  test("found here is published with its end and the remaining share of the rate", () => {
    const world = new SharedGateWorld();
    world.poll(limited);
    expect(world.published).toEqual(["throttle"]);
    expect(world.gate.throttle).toEqual({ untilMs: world.clock.nowMs() + 7000, factor: 0.5 });
  });

  test("adopted holds everything back until its end, then lowers the rate; the stricter one stands", async () => {
    const world = new SharedGateWorld(16);
    world.gate.adoptThrottle({ untilMs: world.clock.nowMs() + 5000, factor: 0.25 });
    world.gate.adoptThrottle({ untilMs: world.clock.nowMs() + 1000, factor: 0.5 });
    expect([world.goes(100), world.gate.waitMs, world.state]).toEqual([0, 5000, "slowed: rate_limited"]);
    await world.clock.advance(5000);
    expect(world.goes(0)).toBe(4);
    expect(world.published).toEqual([]);
  });
});

describe("the shares of other instances", () => {
  test("a witness anywhere vouches for the source, and clears what was not witnessed here", () => {
    const world = new SharedGateWorld();
    for (let calls = 0; calls < 9; calls++) world.gate.recordUncorroboratedFailure(entry());
    world.gate.applyRemoteShares({ ...nothing, lastGoodPollAtMs: world.clock.nowMs() - 60_000 });
    expect(world.gate.lastGoodPollAtMs).toBe(world.clock.nowMs() - 60_000);
    expect([world.state, world.gate.share().uncorroborated]).toEqual(["ok", 0]);
    world.gate.applyRemoteShares({ ...nothing, lastGoodPollAtMs: world.clock.nowMs() - 90_000 });
    expect(world.gate.lastGoodPollAtMs).toBe(world.clock.nowMs() - 60_000);
  });

  test("ten calls without a witness over all instances are a misconfigured source", () => {
    const world = new SharedGateWorld();
    world.gate.applyRemoteShares({ ...nothing, uncorroborated: 7 });
    expect([entry(), entry(), entry()].map((call) => world.gate.recordUncorroboratedFailure(call))).toEqual(["none", "none", "suspended"]);
    expect(world.state).toBe("suspended: misconfigured");
  });

  test("their failures open the circuit together with local ones, but failures before it closed do not open it again", async () => {
    const world = new SharedGateWorld();
    for (let polls = 0; polls < 4; polls++) world.poll(broken);
    expect(world.gate.share()).toMatchObject({ recentPolls: 4, recentFailures: 4 });
    world.gate.applyRemoteShares({ ...nothing, recentPolls: 6, recentFailures: 2 });
    expect(world.state).toBe("circuit_open: upstream_errors");
    expect(world.published).toEqual(["suspension"]);
    world.gate.adoptSuspension(null);
    world.gate.applyRemoteShares({ ...nothing, recentPolls: 30, recentFailures: 30 });
    expect(world.state).toBe("unproven");
    await world.clock.advance(20_000);
    world.gate.applyRemoteShares({ ...nothing, recentPolls: 30, recentFailures: 30 });
    expect(world.state).toBe("circuit_open: upstream_errors");
  });

  test("an account that is alone here is not alone if another one has calls elsewhere", () => {
    const world = new SharedGateWorld();
    world.gate.rate.changeLoad("a", 0, 1);
    expect(world.gate.share()).toMatchObject({ soleAccountId: "a" });
    world.gate.applyRemoteShares({ ...nothing, calls: 1, soleAccountId: "b" });
    for (let polls = 0; polls < 20; polls++) world.poll(broken);
    for (let calls = 0; calls < 20; calls++) world.gate.recordUncorroboratedFailure(entry());
    expect([world.state, world.gate.share()]).toMatchObject(["unproven", { recentPolls: 0, recentFailures: 0, uncorroborated: 0 }]);
    world.gate.applyRemoteShares({ ...nothing, calls: 1, soleAccountId: "a" });
    expect(world.gate.share()).toMatchObject({ recentPolls: 20, recentFailures: 20, uncorroborated: 20 });
  });

  test("their calls count towards saturation and set the interval of an instance without calls", () => {
    const world = new SharedGateWorld(1);
    world.gate.applyRemoteShares({ ...nothing, calls: 1790, soleAccountId: "a" });
    expect([world.gate.rate.isSaturatedBy("a", 10), world.gate.rate.isSaturatedBy("a", 11)]).toEqual([false, true]);
    expect(world.gate.health()).toMatchObject({ state: "slowed", reason: "interval", intervalMs: 1_790_000 });
    world.gate.rate.changeLoad("a", 0, 1);
    expect(world.gate.health()).toMatchObject({ state: "unproven", intervalMs: 2000 });
    expect(world.gate.share()).toMatchObject({ calls: 1 });
  });
});
