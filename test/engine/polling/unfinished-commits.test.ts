import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { fine, PollingWorld, unauthorized } from "../../harness/polling.ts";
import { second, testPolicy } from "../../harness/store-drafts.ts";

let store: ServiceStore;
let world: PollingWorld;

beforeEach(async () => {
  store = await openSqliteStore({ path: ":memory:", policy: { ...testPolicy, marks: { threshold: 2, portion: 2 } } });
  world = new PollingWorld(store);
});
afterEach(() => store.close());

async function watchMany(): Promise<void> {
  for (let n = 0; n < 7; n++) await world.watch("OUT-1", { url: `https://r${n}.example/` });
}

const times = (count: number, notice: string) => Array.from({ length: count }, () => notice);

describe("a transition of more watches than one transaction writes", () => {
  test("is followed by its portions at once, and the webhooks of each leave with it", async () => {
    await watchMany();
    world.upstream.answer = () => fine("calling");
    await world.advance(3 * second);
    expect(world.portions).toBe(4);
    expect(world.notices.filter(({ eventType }) => eventType === "call.calling")).toHaveLength(7);
    world.upstream.answer = () => fine("success");
    await world.advance(10 * second);
    expect(world.notified.filter((notice) => notice.endsWith("call.success"))).toEqual(times(7, "3 call.success"));
    expect(world.poller.sources.callCount).toBe(0);
    expect(world.errors).toEqual([]);
  });

  test("is finished after the store was away, before the call is polled again", async () => {
    await watchMany();
    world.upstream.answer = () => fine("calling");
    world.storePortionsLeft = 1;
    await world.advance(3 * second);
    expect(world.portions).toBe(1);
    expect(world.warnings).toContain("poll.commit_failed");
    world.upstream.answer = () => fine("success");
    const polls = world.pollsOf("OUT-1").length;
    await world.advance(10 * second);
    expect(world.pollsOf("OUT-1")).toHaveLength(polls);
    expect(world.notified.filter((notice) => notice.endsWith("success"))).toEqual([]);
    // A watch that is registered meanwhile makes no poll either.
    await world.watch("OUT-1", { url: "https://late.example/" });
    await world.advance(10 * second);
    expect(world.pollsOf("OUT-1")).toHaveLength(polls);
    world.storePortionsLeft = Infinity;
    await world.advance(20 * second);
    const ofTheLate = ["1 call.calling", "2 call.success"];
    const events = world.notified.filter((notice) => !notice.endsWith("queued"));
    expect(events.filter((event) => ofTheLate.includes(event))).toEqual(ofTheLate);
    expect(events.filter((event) => !ofTheLate.includes(event))).toEqual([...times(7, "2 call.calling"), ...times(7, "3 call.success")]);
  });

  test("is finished by the next process, although its source is suspended", async () => {
    await watchMany();
    world.upstream.answer = () => fine("calling");
    world.storePortionsLeft = 1;
    await world.advance(3 * second);
    world.upstream.answer = () => unauthorized;
    await world.watch("OUT-2");
    await world.advance(second);
    expect(
      world.poller.callProgress((await store.loadWatchedCalls({ afterCallId: null, limit: 1 }))[0]?.callId ?? "", "default"),
    ).toMatchObject({
      problem: "source_suspended",
    });
    const before = world.pollsOf("OUT-1").length;
    world.storePortionsLeft = Infinity;
    await world.restart();
    await world.settle();
    expect(world.notified.filter((notice) => notice.endsWith("calling"))).toHaveLength(7);
    expect(world.pollsOf("OUT-1")).toHaveLength(before);
  });

  test("keeps an observation that meets it: the next poll judges it again", async () => {
    await watchMany();
    const [call] = await store.loadWatchedCalls({ afterCallId: null, limit: 1 });
    if (call === undefined) throw new Error("the call is watched");
    // Another process of the same call began a commit that this one does not know.
    const change = { kind: "status", status: "calling", reason: "", details: null, terminal: false, observedAfterMs: null } as const;
    const { callId, accountId, version } = call;
    const nowMs = world.clock.nowMs();
    await store.commitCall({
      callId,
      accountId,
      expectedVersion: version,
      nowMs,
      lastGoodPollAtMs: nowMs,
      confirmed: true,
      changes: [change],
    });
    world.upstream.answer = () => fine("failure", "busy");
    await world.advance(20 * second);
    const events = world.notified.filter((notice) => !notice.endsWith("queued"));
    expect(events).toEqual([...times(7, "2 call.calling"), ...times(7, "3 call.failure")]);
  });
});
