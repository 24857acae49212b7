import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { Observation } from "../../../src/domain/calls/call.ts";
import { StoreOverloadedError, StoreUnavailableError } from "../../../src/domain/errors.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { broken, fine, missing, PollingWorld, unauthorized } from "../../harness/polling.ts";
import { hour, minute, only, second, testPolicy } from "../../harness/store-drafts.ts";

let store: ServiceStore;
let worlds = 0;

beforeAll(async () => {
  store = await openSqliteStore({ path: ":memory:", policy: testPolicy });
});
afterAll(() => store.close());

/** Each has a source of its own, so that one store serves them all. */
function createWorld(maxPollsPerSecond = 200): PollingWorld {
  worlds += 1;
  return new PollingWorld(store, { maxPollsPerSecond, sourceName: `source-${worlds}` });
}

function sidsOf(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `OUT-${index}`);
}

async function watchAll(world: PollingWorld, count: number): Promise<readonly string[]> {
  const sids = sidsOf(count);
  for (const sid of sids) await world.watch(sid);
  return sids;
}

/** Watches it at this source; the ids of its call. */
async function idsOf(world: PollingWorld, callSid: string, sourceName: string): Promise<readonly string[]> {
  await world.watch(callSid, { sourceName });
  const calls = await store.loadWatchedCalls({ afterCallId: null, limit: 10_000 });
  return calls.filter((call) => call.callSid === callSid && call.sourceName === sourceName).map(({ callId }) => callId);
}

function mostWithin(spanMs: number, times: readonly number[]): number {
  return Math.max(0, ...times.map((startMs) => times.filter((atMs) => atMs >= startMs && atMs < startMs + spanMs).length));
}

describe("a watched call", () => {
  test("is polled at once, then about every two seconds, and only changes are written", async () => {
    const world = createWorld();
    await world.watch("OUT-1");
    expect(world.pollsOf("OUT-1")).toEqual([0]);
    expect(world.notified).toEqual(["1 call.queued"]);
    expect(world.jobs.map((job) => job.event.type)).toEqual(["call.queued"]);
    await world.advance(minute);
    expect(world.pollsOf("OUT-1").length).toBeGreaterThanOrEqual(28);
    expect(world.pollsOf("OUT-1").length).toBeLessThanOrEqual(33);
    expect(world.commits).toHaveLength(1);
  });

  test("is polled once for all its watches, and each is notified", async () => {
    const world = createWorld();
    await world.watch("OUT-1", { url: "https://one.example/" });
    await world.watch("OUT-1", { url: "https://two.example/" });
    world.upstream.answer = () => fine("calling");
    await world.advance(10 * second);
    expect(world.upstream.mostInFlight).toBe(1);
    expect(world.pollsOf("OUT-1").length).toBeLessThanOrEqual(7);
    expect(world.notified.toSorted()).toEqual(["1 call.queued", "1 call.queued", "2 call.calling", "2 call.calling"]);
    expect(world.poller.sources.callCount).toBe(1);
  });

  test.each(["success", "failure"])("is never polled again after %s", async (status) => {
    const world = createWorld();
    await world.watch("OUT-1");
    world.upstream.answer = () => fine(status, "because");
    await world.advance(5 * second);
    const polls = world.upstream.polls.length;
    expect(world.notified).toEqual(["1 call.queued", `2 call.${status}`]);
    expect(world.poller.sources.callCount).toBe(0);
    await world.advance(5 * minute);
    expect(world.upstream.polls).toHaveLength(polls);
    expect(world.clock.timerCount).toBe(1);
  });

  test("is polled less often when it has not changed for an hour, and for six", async () => {
    const world = createWorld();
    await world.watch("OUT-1", { expiresAtMs: world.clock.nowMs() + 24 * hour });
    await world.advance(hour + minute);
    let polls = world.upstream.polls.length;
    await world.advance(10 * minute);
    expect(world.upstream.polls.length - polls).toBeGreaterThanOrEqual(18);
    expect(world.upstream.polls.length - polls).toBeLessThanOrEqual(23);
    await world.advance(5 * hour);
    polls = world.upstream.polls.length;
    await world.advance(20 * minute);
    expect(world.upstream.polls.length - polls).toBeGreaterThanOrEqual(9);
    expect(world.upstream.polls.length - polls).toBeLessThanOrEqual(12);
  });

  test("is not polled after its last watch was removed", async () => {
    const world = createWorld();
    const watchId = await world.watch("OUT-1");
    await world.removeWatch(watchId);
    await world.advance(minute);
    expect(world.upstream.polls).toHaveLength(1);
    expect(world.poller.sources.callCount).toBe(0);
  });

  test("notifies a watch added during an outage of its source with the next good poll", async () => {
    const world = createWorld();
    await world.watch("OUT-1", { url: "https://one.example/" });
    world.upstream.answer = () => broken;
    await world.advance(2 * minute);
    await world.watch("OUT-1", { url: "https://two.example/" });
    expect(world.notified).toEqual(["1 call.queued"]);
    world.upstream.answer = () => fine("queued");
    await world.advance(2 * minute);
    expect(world.notified).toEqual(["1 call.queued", "1 call.queued"]);
  });

  test("backs off when its polls fail, and is asked as usual when they do not", async () => {
    const world = createWorld();
    await world.watch("OUT-1");
    await world.watch("OUT-2");
    world.upstream.answer = (callSid) => (callSid === "OUT-1" ? broken : fine("queued"));
    await world.advance(10 * minute);
    expect(world.pollsOf("OUT-1").length).toBeLessThan(60);
    expect(world.pollsOf("OUT-2").length).toBeGreaterThan(270);
    world.upstream.answer = () => fine("queued");
    await world.advance(minute);
    const polls = world.pollsOf("OUT-1").length;
    await world.advance(minute);
    expect(world.pollsOf("OUT-1").length - polls).toBeGreaterThan(25);
  });

  test("is not asked again while the answer is waited for", async () => {
    const world = createWorld();
    await world.watch("OUT-1");
    const { promise, resolve } = Promise.withResolvers<Observation>();
    world.upstream.answer = () => promise;
    await world.advance(minute);
    expect(world.upstream.mostInFlight).toBe(1);
    resolve(fine("calling"));
    await world.advance(5 * second);
    expect(world.notified).toEqual(["1 call.queued", "2 call.calling"]);
  });

  test("a poll that throws is a failed poll", async () => {
    const world = createWorld();
    world.upstream.answer = () => Promise.reject(new Error("a bug"));
    await world.watch("OUT-1");
    expect(world.errors).toHaveLength(1);
    world.upstream.answer = () => fine("calling");
    await world.advance(10 * second);
    expect(world.notified).toEqual(["1 call.calling"]);
  });
});

describe("many calls", () => {
  test("registered together drift apart", async () => {
    const world = createWorld();
    await watchAll(world, 100);
    await world.advance(2 * minute);
    const sinceMs = world.clock.monotonicMs();
    await world.advance(4 * second);
    const times = world.upstream.polls.filter(({ atMs }) => atMs >= sinceMs).map(({ atMs }) => atMs);
    expect(times.length).toBeGreaterThan(150);
    expect(mostWithin(200, times)).toBeLessThan(30);
  });

  test("more than the rate allows stretch the interval evenly, and the rate holds in every second", async () => {
    const world = createWorld(10);
    const sids = await watchAll(world, 100);
    await world.advance(20 * second);
    expect(world.source).toMatchObject({ state: "slowed", reason: "interval", intervalMs: 10_000 });
    const sinceMs = world.clock.monotonicMs();
    await world.advance(100 * second);
    expect(
      mostWithin(
        second,
        world.upstream.polls.map(({ atMs }) => atMs),
      ),
    ).toBeLessThanOrEqual(10);
    const counts = sids.map((sid) => world.pollsOf(sid).filter((atMs) => atMs >= sinceMs).length);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(8);
    expect(Math.max(...counts)).toBeLessThanOrEqual(12);
  });

  test("after a stand-still a small account does not wait for a large one", async () => {
    const world = createWorld(20);
    world.upstream.answer = () => unauthorized;
    for (const sid of sidsOf(100)) await world.watch(sid, { accountName: "large" });
    await world.watch("OUT-small", { accountName: "small" });
    world.upstream.answer = () => fine("queued");
    // All are known to the queue as repeats; the probe resumes them.
    await world.restart();
    world.upstream.answer = () => unauthorized;
    await world.advance(5 * second);
    world.upstream.answer = () => fine("calling");
    world.upstream.polls = [];
    await world.advance(2 * minute);
    const place = world.upstream.polls.findIndex(({ callSid }) => callSid === "OUT-small");
    expect(place).toBeGreaterThanOrEqual(0);
    expect(place).toBeLessThanOrEqual(3);
  });

  test("of a start are spread over their interval", async () => {
    const world = createWorld(50);
    await watchAll(world, 200);
    world.upstream.polls = [];
    const startMs = world.clock.monotonicMs();
    await world.restart();
    expect(world.poller.sources.callCount).toBe(200);
    await world.advance(6 * second);
    const times = world.upstream.polls.map(({ atMs }) => atMs - startMs);
    expect(new Set(world.upstream.polls.map(({ callSid }) => callSid)).size).toBe(200);
    expect(mostWithin(second, times)).toBeLessThanOrEqual(50);
    expect(times.filter((atMs) => atMs < 2 * second).length).toBeGreaterThan(60);
    expect(times.filter((atMs) => atMs > 2 * second).length).toBeGreaterThan(60);
  });
});

describe("a source in trouble", () => {
  test("that answers 401 is suspended and probed; watches stay, and the first good answer resumes all", async () => {
    const world = createWorld();
    await watchAll(world, 20);
    world.upstream.answer = () => unauthorized;
    await world.advance(4 * second);
    world.upstream.polls = [];
    await world.advance(90 * second);
    expect(world.source.state).toBe("suspended");
    expect(world.upstream.polls.length).toBeLessThanOrEqual(5);
    expect(world.sourceChanges).toEqual(["suspended: unauthorized"]);
    expect(world.poller.sources.callCount).toBe(20);
    world.upstream.answer = () => fine("calling");
    await world.advance(90 * second);
    expect(world.sourceChanges).toEqual(["suspended: unauthorized", "resumed"]);
    expect(world.notified.filter((line) => line === "2 call.calling")).toHaveLength(20);
  });

  test("its next probe is a call that has answered before, not a new one", async () => {
    const world = createWorld();
    await watchAll(world, 5);
    await world.advance(5 * second);
    world.upstream.answer = () => unauthorized;
    await world.advance(minute + 10 * second);
    world.upstream.polls = [];
    world.upstream.answer = (callSid) => (callSid === "OUT-new" ? unauthorized : fine("queued"));
    await world.watch("OUT-new");
    await world.advance(minute);
    expect(world.upstream.polls[0]?.callSid).toMatch(/^OUT-\d$/);
    expect(world.sourceChanges.slice(0, 2)).toEqual(["suspended: unauthorized", "resumed"]);
  });

  test("new watches of another account do not extend the grace of a call that is not found", async () => {
    const world = createWorld();
    await world.watch("OUT-fine");
    world.upstream.answer = (callSid) => (callSid === "OUT-fine" ? fine("queued") : missing);
    await world.watch("OUT-1");
    for (let index = 0; index < 3; index++) {
      await world.advance(11 * second);
      await world.watch("OUT-1", { accountName: "other", url: `https://other.example/${index}` });
    }
    expect(world.notified.filter((line) => line.endsWith("watch.not_found"))).toEqual(["1 watch.not_found"]);
    await world.advance(40 * second);
    expect(world.notified.filter((line) => line.endsWith("watch.not_found"))).toHaveLength(4);
  });

  test("other calls go on while SIDs of another account are answered 403 or 502", async () => {
    const world = createWorld();
    const forbidden: Observation = { kind: "unauthorized", statusCode: 403 };
    world.upstream.answer = (callSid) => (callSid === "OUT-victim" ? fine("queued") : callSid.endsWith("7") ? forbidden : broken);
    await world.watch("OUT-victim");
    for (let index = 0; index < 40; index++) await world.watch(`OUT-bad-${index}`, { accountName: "other" });
    await world.advance(150 * second);
    expect(world.source.state).toBe("ok");
    const ofVictim = world.upstream.polls.filter(({ callSid }) => callSid === "OUT-victim");
    expect(ofVictim.length).toBeGreaterThan(60);
  });

  test("that fails every poll opens its circuit: one probe, not a storm", async () => {
    const world = createWorld();
    await watchAll(world, 50);
    world.upstream.answer = () => broken;
    await world.advance(10 * second);
    expect(world.source.state).toBe("circuit_open");
    expect(world.sourceChanges).toEqual([]);
    world.upstream.polls = [];
    await world.advance(minute);
    expect(world.upstream.polls.length).toBeLessThanOrEqual(5);
    world.upstream.answer = () => fine("calling");
    await world.advance(2 * minute);
    expect(world.source.state).toBe("ok");
    expect(world.notified.filter((line) => line === "2 call.calling")).toHaveLength(50);
  });

  test("that answers 429 is left alone as long as it says", async () => {
    const world = createWorld();
    await watchAll(world, 20);
    world.upstream.answer = () => ({ kind: "rate_limited", retryAfterMs: 30_000 });
    await world.advance(4 * second);
    world.upstream.answer = () => fine("calling");
    world.upstream.polls = [];
    await world.advance(25 * second);
    expect(world.upstream.polls).toEqual([]);
    expect(world.source).toMatchObject({ state: "slowed", reason: "rate_limited" });
    await world.advance(50 * second);
    expect(world.source.state).toBe("ok");
    expect(world.notified.filter((line) => line === "2 call.calling")).toHaveLength(20);
  });

  test("that denies every call is misconfigured, ends no watch, and re-evaluates every call after a 200", async () => {
    const world = createWorld();
    world.upstream.answer = () => missing;
    await watchAll(world, 12);
    await world.advance(30 * minute);
    expect(world.source).toMatchObject({ state: "suspended", reason: "misconfigured" });
    expect(world.notified).toEqual([]);
    expect(world.poller.sources.callCount).toBe(12);
    world.upstream.answer = (callSid) => (callSid === "OUT-7" ? missing : fine("calling"));
    await world.advance(3 * minute);
    expect(world.sourceChanges).toEqual(["suspended: misconfigured", "resumed"]);
    expect(world.notified.filter((line) => line === "1 call.calling")).toHaveLength(11);
    expect(world.notified.filter((line) => line === "1 watch.not_found")).toHaveLength(1);
  });

  test("that denies a few calls without a witness ends them after ten minutes", async () => {
    const world = createWorld();
    world.upstream.answer = () => missing;
    await watchAll(world, 3);
    await world.advance(10 * minute);
    expect(world.notified).toEqual([]);
    await world.advance(3 * minute);
    expect(world.notified).toEqual(["1 watch.not_found", "1 watch.not_found", "1 watch.not_found"]);
  });

  test("that vouches for itself ends an unknown call after the grace", async () => {
    const world = createWorld();
    world.upstream.answer = (callSid) => (callSid === "OUT-0" ? fine("queued") : missing);
    await watchAll(world, 2);
    await world.advance(29 * second);
    expect(world.notified).toEqual(["1 call.queued"]);
    await world.advance(5 * second);
    expect(world.notified).toEqual(["1 call.queued", "1 watch.not_found"]);
  });
});

describe("the deadline", () => {
  test("is kept at every interval, after one more poll", async () => {
    const world = createWorld();
    await world.watch("OUT-1", { expiresAtMs: world.clock.nowMs() + 3 * hour + 7 * second });
    await world.advance(3 * hour + 6 * second);
    expect(world.notified).toEqual(["1 call.queued"]);
    await world.advance(2 * second);
    expect(world.notified).toEqual(["1 call.queued", "2 watch.expired"]);
    expect(world.upstream.polls.at(-1)?.atMs).toBeGreaterThanOrEqual(3 * hour + 7 * second);
    expect(world.poller.sources.callCount).toBe(0);
  });

  test("of a poll that ends the call is the call's end", async () => {
    const world = createWorld();
    await world.watch("OUT-1", { expiresAtMs: world.clock.nowMs() + 1500 });
    world.upstream.answer = () => fine("success");
    await world.advance(3 * second);
    expect(world.notified).toEqual(["1 call.queued", "2 call.success"]);
  });

  test("of one watch leaves the other's", async () => {
    const world = createWorld();
    await world.watch("OUT-1", { url: "https://one.example/", expiresAtMs: world.clock.nowMs() + minute });
    await world.watch("OUT-1", { url: "https://two.example/", expiresAtMs: world.clock.nowMs() + 2 * minute });
    await world.advance(minute + second);
    expect(world.notified.filter((line) => line.endsWith("watch.expired"))).toHaveLength(1);
    await world.advance(minute + second);
    expect(world.notified.filter((line) => line.endsWith("watch.expired"))).toHaveLength(2);
  });

  test.each([
    ["suspended", unauthorized],
    ["slowed by a long Retry-After", { kind: "rate_limited", retryAfterMs: 6 * hour }],
  ] as const)("waits for a source that is %s, two hours at most", async (_name, observation: Observation) => {
    const world = createWorld();
    await world.watch("OUT-1", { expiresAtMs: world.clock.nowMs() + minute });
    await world.watch("OUT-2");
    world.upstream.answer = () => observation;
    await world.advance(2 * hour);
    expect(world.notified).toEqual(["1 call.queued", "1 call.queued"]);
    await world.advance(minute + 5 * second);
    expect(world.notified).toEqual(["1 call.queued", "1 call.queued", "2 watch.expired"]);
    expect(world.poller.sources.callCount).toBe(1);
  });
});

describe("a source without configuration", () => {
  test("has its calls end two hours after their deadline", async () => {
    const world = createWorld();
    const sourceName = `gone-${worlds}`;
    await world.watch("OUT-1", { sourceName, expiresAtMs: world.clock.nowMs() + minute });
    await world.watch("OUT-2", { sourceName });
    await world.restart();
    await world.advance(2 * hour);
    expect(world.notified).toEqual([]);
    await world.advance(minute + 5 * second);
    expect(world.notified).toEqual(["1 watch.expired"]);
    expect(world.upstream.polls).toEqual([]);
    expect(world.errors).toEqual([]);
  });

  test("is shown as suspended and not polled", async () => {
    const world = createWorld();
    const callId = only(await idsOf(world, "OUT-1", `gone-${worlds}`));
    const problem = "source_suspended";
    expect(world.poller.callProgress(callId, `gone-${worlds}`)).toMatchObject({ polledAtMs: null, problem });
    // The same answer as for a call that no instance has claimed.
    expect(world.poller.callProgress("call_unknown", `gone-${worlds}`)).toEqual({
      polledAtMs: null,
      nextPollAtMs: null,
      problem,
      problemDetail: null,
    });
    expect(world.poller.callProgress("call_unknown", world.source.name)).toBeNull();
    expect([...world.poller.sources.gates.keys()]).toEqual([world.source.name]);
    expect(world.poller.sources.callCount).toBe(0);
  });

  test("has its calls polled once it is there", async () => {
    const world = createWorld();
    const name = `late-${worlds}`;
    await world.watch("OUT-1", { sourceName: name, expiresAtMs: world.clock.nowMs() + minute });
    await world.advance(hour);
    world.poller.addSource({ ...world.setup, source: { ...world.setup.source, name } });
    await world.advance(5 * second);
    expect(world.notified).toEqual(["1 call.queued", "2 watch.expired"]);
    expect(world.sourceChanges).toEqual([]);
    expect(world.poller.sources.health().find((source) => source.name === name)).toMatchObject({ state: "ok" });
  });

  test("is probed as any other once it is there", async () => {
    const world = createWorld();
    const name = `late-${worlds}`;
    await world.watch("OUT-1", { sourceName: name });
    world.upstream.answer = () => unauthorized;
    world.poller.addSource({ ...world.setup, source: { ...world.setup.source, name } });
    await world.advance(5 * second);
    expect(world.sourceChanges).toEqual(["suspended: unauthorized"]);
    world.upstream.answer = () => fine("queued");
    await world.advance(minute);
    expect(world.notified).toEqual(["1 call.queued"]);
  });
});

describe("the store", () => {
  test.each([new StoreUnavailableError("away"), new StoreOverloadedError()])(
    "that refuses changes nothing: the next poll sees it again (%s)",
    async (failure) => {
      const world = createWorld();
      await world.watch("OUT-1");
      const beforeMs = world.clock.nowMs();
      world.upstream.answer = () => fine("calling");
      world.storeFailure = failure;
      await world.advance(20 * second);
      expect(world.notified).toEqual(["1 call.queued"]);
      expect(world.upstream.polls.length).toBeGreaterThan(3);
      world.storeFailure = null;
      await world.advance(10 * second);
      expect(world.notified).toEqual(["1 call.queued", "2 call.calling"]);
      const [change] = world.commits.at(-1)?.changes ?? [];
      // The change lies after the last poll that was remembered, before the store went away.
      expect(change).toMatchObject({ kind: "status", observedAfterMs: beforeMs });
    },
  );

  test("that refuses the end of a call receives it again", async () => {
    const world = createWorld();
    await world.watch("OUT-1");
    world.upstream.answer = () => fine("success");
    world.storeFailure = new StoreUnavailableError("away");
    await world.advance(10 * second);
    expect(world.poller.sources.callCount).toBe(1);
    world.storeFailure = null;
    await world.advance(10 * second);
    expect(world.notified).toEqual(["1 call.queued", "2 call.success"]);
  });

  test("wins if another instance changed the call", async () => {
    const world = createWorld();
    await world.watch("OUT-1");
    const call = await world.storedCall(world.commits[0]?.callId ?? "");
    const { callId, accountId, version } = call ?? { callId: "", accountId: "", version: 0 };
    const changes = [{ kind: "status", status: "calling", reason: "", details: null, terminal: false, observedAfterMs: null }] as const;
    await world.commitBehind({
      callId,
      accountId,
      expectedVersion: version,
      nowMs: world.clock.nowMs(),
      lastGoodPollAtMs: null,
      confirmed: false,
      changes,
    });
    world.upstream.answer = () => fine("calling");
    await world.advance(30 * second);
    // The poller's own commit was stale. The poller then read the stored status and had no change to add.
    expect(world.commits).toHaveLength(2);
    expect(world.notified).toEqual(["1 call.queued"]);
    world.upstream.answer = () => fine("success");
    await world.advance(5 * second);
    expect(world.notified).toEqual(["1 call.queued", "3 call.success"]);
  });

  test("that is slow makes polls wait: a thousand commits in flight and what is on the wire is all", async () => {
    const world = createWorld(10_000);
    const { promise, resolve } = Promise.withResolvers<void>();
    await watchAll(world, 1100);
    world.upstream.answer = () => fine("calling");
    world.commits.length = 0;
    world.storeAnswersAfter = promise;
    await world.clock.advance(10 * second);
    expect(world.commits.length).toBeGreaterThanOrEqual(1000);
    expect(world.commits.length).toBeLessThanOrEqual(1000 + world.upstream.mostInFlight);
    expect(world.commits.length).toBeLessThan(1100);
    const polls = world.upstream.polls.length;
    await world.clock.advance(minute);
    expect(world.upstream.polls).toHaveLength(polls);
    world.storeAnswersAfter = null;
    resolve();
    await world.settle();
    await world.advance(5 * second);
    expect(world.notified.filter((line) => line === "2 call.calling")).toHaveLength(1100);
  });
});

describe("the wall clock", () => {
  test.each([
    ["ahead", 20 * minute],
    ["ahead", 3 * hour],
    ["back", -3 * hour],
  ])("set %s by %d ms ends no streak early, makes no storm and no silence", async (_name, stepMs) => {
    const world = createWorld();
    world.upstream.answer = (callSid) => (callSid === "OUT-0" ? fine("queued") : missing);
    await watchAll(world, 2);
    await world.watch("OUT-seen");
    world.upstream.answer = (callSid) => (callSid === "OUT-0" || callSid === "OUT-seen" ? fine("queued") : missing);
    await world.advance(10 * second);
    world.upstream.answer = (callSid) => (callSid === "OUT-0" ? fine("queued") : missing);
    await world.advance(15 * second);
    const before = world.notified;
    world.clock.setWall(world.clock.nowMs() + stepMs);
    world.upstream.polls = [];
    await world.advance(4 * second);
    expect(world.notified).toEqual(before);
    await world.advance(56 * second);
    expect(world.notified).toEqual([...before, "1 watch.not_found"]);
    expect(world.pollsOf("OUT-0").length).toBeGreaterThan(25);
    expect(world.pollsOf("OUT-0").length).toBeLessThan(35);
    await world.advance(10 * minute);
    expect(world.notified).toEqual([...before, "1 watch.not_found", "2 watch.lost"]);
  });
});

describe("a stop", () => {
  test("starts no poll, waits for those on the wire, and gives the calls back with their last good poll", async () => {
    const world = createWorld();
    await world.watch("OUT-1");
    await world.watch("OUT-2");
    await world.advance(10 * second);
    const { promise, resolve } = Promise.withResolvers<Observation>();
    world.upstream.answer = () => promise;
    await world.advance(3 * second);
    expect(world.upstream.inFlight).toBe(2);
    let stopped = false;
    const stopping = world.poller.stop(20 * second).then(() => (stopped = true));
    expect(world.poller.stop(0)).toBeInstanceOf(Promise);
    const polls = world.upstream.polls.length;
    await world.advance(5 * second);
    expect(stopped).toBe(false);
    resolve(fine("calling"));
    await stopping;
    expect(world.notified).toEqual(["1 call.queued", "1 call.queued", "2 call.calling", "2 call.calling"]);
    expect((await world.storedCall(world.commits[0]?.callId ?? ""))?.status.lastGoodPollAtMs).toBe(world.clock.nowMs());
    await world.advance(minute);
    expect(world.upstream.polls).toHaveLength(polls);
    expect(world.clock.timerCount).toBe(1);
  });

  test("notes the last good poll of calls that did not change since", async () => {
    const world = createWorld();
    await world.watch("OUT-1");
    await world.advance(minute);
    const lastPollAtMs = world.clock.nowMs() - world.clock.monotonicMs() + (world.upstream.polls.at(-1)?.atMs ?? 0);
    await world.poller.stop(0);
    expect((await world.storedCall(world.commits[0]?.callId ?? ""))?.status.lastGoodPollAtMs).toBe(lastPollAtMs);
  });

  test("ends with a poll that ends while the other calls are given back", async () => {
    const world = createWorld();
    await world.watch("OUT-idle");
    await world.advance(10 * second);
    const { promise, resolve } = Promise.withResolvers<Observation>();
    world.upstream.answer = () => promise;
    await world.watch("OUT-busy");
    await world.settle();
    expect(world.upstream.inFlight).toBe(1);
    const stopping = world.poller.stop(20 * second);
    resolve(missing);
    // On a clock that stands still: the grace is never over.
    await stopping;
    expect(world.upstream.inFlight).toBe(0);
  });

  test("does not wait longer than its grace", async () => {
    const world = createWorld();
    world.upstream.answer = () => new Promise(() => undefined);
    await world.watch("OUT-1");
    let stopped = false;
    const stopping = world.poller.stop(2 * second).then(() => (stopped = true));
    await world.clock.advance(1900);
    expect(stopped).toBe(false);
    await world.clock.advance(200);
    await stopping;
    expect(stopped).toBe(true);
  });
});
