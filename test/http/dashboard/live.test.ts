import { setTimeout } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { latestCursor } from "../../../src/domain/events/feed-place.ts";
import type { Notice } from "../../../src/ports/stores/call-store.ts";
import type { AwaitedChange, WaitEnd } from "../../../src/ports/use-cases/live-state.ts";
import { hour, second } from "../../harness/store-drafts.ts";
import { openDashboard, signIn } from "./dashboard-world.ts";

const settle = () => setTimeout(5);

/** A signed-in dashboard whose waiting requests the test answers. */
async function liveDashboard() {
  const waits: { readonly change: AwaitedChange; readonly signal: AbortSignal; readonly end: (end: WaitEnd) => void }[] = [];
  const dashboard = await openDashboard({
    live: {
      changed: (change, _timeoutMs, signal) =>
        new Promise((resolve) => {
          waits.push({ change, signal, end: resolve });
          signal.addEventListener("abort", () => resolve("aborted"));
        }),
    },
  });
  const session = await signIn(dashboard);
  const stop = new AbortController();
  const listen = async (path = "/dashboard/live") => {
    const response = await dashboard.stream(path, { cookie: session.cookie }, stop.signal);
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    const reader = response.body?.getReader();
    if (reader === undefined) throw new Error("a stream has a body");
    onTestFinished(() => reader.cancel().catch(() => undefined));
    const state = { text: "", isEnded: false };
    void (async () => {
      for (let read = await reader.read(); !read.done; read = await reader.read()) state.text += new TextDecoder().decode(read.value);
      state.isEnded = true;
    })();
    return state;
  };
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += second) {
      await dashboard.clock.advance(second);
      await settle();
    }
  };
  const announce = async (notice: Partial<Notice> = {}) => {
    const given = { accountId: dashboard.account.id, watchId: "wch_1", callSid: "OUT-1", sequence: 1, eventType: "call.queued", ...notice };
    for (const { change } of waits) expect(change.matches?.(given)).toBe(false);
    await settle();
  };
  const publish = async (notice: Partial<Notice> = {}) => {
    await announce(notice);
    await pass(second);
  };
  return { ...dashboard, ...session, waits, stop, listen, pass, announce, publish };
}

const changed = "event: changed\n";

describe("the stream of a live page", () => {
  test("says that something has changed, once for many events, and holds no event", async () => {
    const { world, listen, publish, waits } = await liveDashboard();
    await world.watch("OUT-1");
    const stream = await listen();
    await settle();
    expect(waits).toHaveLength(1);
    expect(stream.text).not.toContain(changed);
    await world.see("OUT-1", "queued");
    await world.see("OUT-1", "calling");
    await publish();
    await expect.poll(() => stream.text.split(changed).length).toBe(2);
    expect(stream.text).not.toMatch(/OUT-1|call\./);
    // Nothing new was committed.
    await publish();
    expect(stream.text.split(changed)).toHaveLength(2);
    await world.see("OUT-1", "failure");
    await publish({ eventType: "delivery.exhausted" });
    await expect.poll(() => stream.text.split(changed).length).toBe(3);
    expect(stream.isEnded).toBe(false);
  });

  test("of one call passes over those of others", async () => {
    const { world, listen, publish } = await liveDashboard();
    await world.watch("OUT-1");
    const stream = await listen("/dashboard/live?call_sid=OUT-2");
    await world.see("OUT-1", "queued");
    await publish();
    expect(stream.text).not.toContain(changed);
    await publish({ callSid: "OUT-2" });
    await expect.poll(() => stream.text).toContain(changed);
  });

  test("reads no more than twice a second however much happens", async () => {
    const { world, listen, publish } = await liveDashboard();
    let reads = 0;
    const { readFeed } = world.store;
    world.store.readFeed = (query) => {
      reads += query.cursor === latestCursor ? 1 : 0;
      return readFeed(query);
    };
    await listen();
    for (let n = 0; n < 10; n++) await publish();
    expect(reads).toBeGreaterThan(1);
    expect(reads).toBeLessThanOrEqual(22);
  });

  test.each<[string, (dashboard: Awaited<ReturnType<typeof liveDashboard>>) => Promise<unknown>]>([
    ["its key", ({ world, keyId }) => world.store.revokeKey({ by: null, keyId, accountId: null, nowMs: world.nowMs })],
    [
      "its account",
      ({ world, account }) => world.store.setAccountState({ accountId: account.id, isDisabled: true, by: null, nowMs: world.nowMs }),
    ],
    ["its session", ({ submit }) => submit("/dashboard/sign-out")],
    ["its 12 hours", async ({ clock }) => clock.setWall(clock.nowMs() + 12 * hour)],
    ["the service", async ({ waits }) => waits.forEach(({ end }) => end("stopping"))],
  ])("ends within 5 s of %s", async (_name, end) => {
    const dashboard = await liveDashboard();
    const stream = await dashboard.listen();
    await dashboard.pass(10 * second);
    expect(stream.isEnded).toBe(false);
    await end(dashboard);
    await dashboard.pass(5 * second);
    expect([stream.isEnded, dashboard.waits.every(({ signal }) => signal.aborted)]).toEqual([true, true]);
  });

  test.each<[string, (dashboard: Awaited<ReturnType<typeof liveDashboard>>) => unknown]>([
    ["its reader leaves", ({ stop }) => stop.abort()],
    ["the service stops", ({ waits }) => waits.forEach(({ end }) => end("stopping"))],
  ])("holds no timer and reads no more once %s, also while it waits for the time of its next read", async (_name, end) => {
    const dashboard = await liveDashboard();
    const { clock, listen, announce, world } = dashboard;
    const timers = clock.timerCount;
    await listen();
    await announce();
    const waiting = clock.timerCount;
    await announce();
    expect(clock.timerCount).toBe(waiting + 1);
    let reads = 0;
    world.store.readFeed = () => Promise.reject(new Error(`read ${++reads}`));
    end(dashboard);
    await expect.poll(() => clock.timerCount).toBe(timers);
    await dashboard.pass(second);
    expect([clock.timerCount, reads]).toEqual([timers, 0]);
  });

  test("counts as a waiting request", async () => {
    const { stream, cookie } = await liveDashboard();
    const refused = await openDashboard({ live: { changed: async () => "too_many" } });
    const session = await signIn(refused);
    const answer = await refused.stream("/dashboard/live", { cookie: session.cookie });
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, "5"]);
    expect((await stream("/dashboard/live", { cookie: `${cookie}x` })).status).toBe(401);
  });
});

test("a live page names its stream and loads the one script, which a browser keeps", async () => {
  const dashboard = await openDashboard();
  const { get } = await signIn(dashboard);
  const { view } = await dashboard.world.watch("OUT-1");
  const streamOf = async (path: string) => /<script src="([^"]+)" data-stream="([^"]+)" defer>/.exec((await get(path)).text) ?? [];
  const [, script = "", stream] = await streamOf("/dashboard");
  expect(stream).toBe("/dashboard/live");
  expect((await streamOf(`/dashboard/watches/${view.watch.id}`))[2]).toBe("/dashboard/live?call_sid=OUT-1");
  const { status, headers, text } = await get(script);
  expect([status, headers["content-type"], headers["cache-control"]]).toEqual([
    200,
    "text/javascript; charset=utf-8",
    "private, max-age=31536000, immutable",
  ]);
  expect(text).toContain("EventSource");
  // The rest of a list does not move while it is read.
  expect(await streamOf("/dashboard/watches/none")).toEqual([]);
});
