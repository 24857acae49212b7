import { describe, expect, test } from "vitest";
import type { WaitEnd } from "../../src/ports/use-cases/live-state.ts";
import type { FeedQuery } from "../../src/ports/stores/read-store.ts";
import { startMs } from "../harness/deliveries.ts";
import { apiKey, createTestApi } from "./test-api.ts";
import { eventView } from "./views.ts";

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A feed that is empty until `publish`, with waits that end by it, by time on the fake clock, or by abort. */
function quietFeed(matchesAfter: number) {
  const cursors: (string | null)[] = [];
  const signals: AbortSignal[] = [];
  let wake: ((end: WaitEnd) => void) | null = null;
  const api = createTestApi({
    store: {
      readFeed: async ({ cursor }) => {
        cursors.push(cursor);
        return { data: cursors.length > matchesAfter ? [eventView] : [], cursors: [], nextCursor: String(cursors.length) };
      },
    },
    live: {
      changed: (_accountId, timeoutMs, signal) => {
        signals.push(signal);
        return new Promise((resolve) => {
          wake = resolve;
          api.clock.setTimer(timeoutMs, () => resolve("timeout"));
          signal.addEventListener("abort", () => resolve("aborted"));
        });
      },
    },
  });
  return { ...api, cursors, signals, publish: () => wake?.("event") };
}

describe("the feed", () => {
  test("asks for what the query says, groups resolved", async () => {
    const asked: FeedQuery[] = [];
    const { send } = createTestApi({
      store: {
        readFeed: async (query) => {
          asked.push(query);
          return { data: [], cursors: [], nextCursor: "9" };
        },
      },
    });
    await send("GET", "/v1/events?after=5&since=2026-11-24T12:00:00Z&type=watch.*,terminal,call.success&call_sid=OUT-1&limit=3");
    const response = await send("GET", "/v1/events?type=endpoint.test");
    expect(response.body).toEqual({ data: [], next_cursor: "9" });
    expect(asked).toEqual([
      {
        accountId: "acc_1",
        limit: 3,
        cursor: "5",
        sinceMs: startMs,
        types: ["watch.not_found", "watch.lost", "watch.rejected", "watch.expired", "call.success"],
        orTerminal: true,
        callSid: "OUT-1",
      },
      { accountId: "acc_1", limit: 50, cursor: null, sinceMs: null, types: ["endpoint.test"], orTerminal: false, callSid: null },
    ]);
  });

  test("waits, and goes on waiting from where it is when what came was not asked for", async () => {
    const { send, cursors, publish, signals } = quietFeed(2);
    const answer = send("GET", "/v1/events?wait=30&type=terminal");
    await expect.poll(() => cursors.length).toBe(1);
    publish();
    await expect.poll(() => cursors.length).toBe(2);
    publish();
    expect((await answer).body).toMatchObject({ data: [{ id: "evt_1" }], next_cursor: "3" });
    expect(cursors).toEqual([null, "1", "2"]);
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
  });

  test("after the time is over the page is empty and says where to go on", async () => {
    const { send, clock, cursors } = quietFeed(Number.POSITIVE_INFINITY);
    const answer = send("GET", "/v1/events?wait=2&after=7");
    await expect.poll(() => cursors.length).toBe(1);
    await clock.advance(2000);
    // Read once more at the end, so that the client goes on after events that did not match.
    expect((await answer).body).toEqual({ data: [], next_cursor: "2" });
  });

  test("wait=30 is answered before a router that allows 30 s gives up", async () => {
    const { send, clock, cursors } = quietFeed(Number.POSITIVE_INFINITY);
    const answer = send("GET", "/v1/events?wait=30");
    await expect.poll(() => cursors.length).toBe(1);
    await clock.advance(29_300);
    expect((await answer).body).toMatchObject({ data: [] });
  });

  test("what is there is answered at once and leaves no waiter", async () => {
    const { send, signals } = quietFeed(0);
    expect((await send("GET", "/v1/events?wait=30")).body).toMatchObject({ data: [{ id: "evt_1" }] });
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  });

  test("a client that goes away releases its waiter", async () => {
    const { request, signals } = quietFeed(Number.POSITIVE_INFINITY);
    const client = new AbortController();
    const answer = request("/v1/events?wait=30", { headers: { "x-api-key": apiKey }, signal: client.signal });
    await expect.poll(() => signals.length).toBe(1);
    await settle();
    client.abort();
    await answer;
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  });
});

test("an event is as it was sent, with its deliveries", async () => {
  const { send } = createTestApi();
  expect((await send("GET", "/v1/events/evt_1")).body).toEqual({
    id: "evt_1",
    type: "call.failure",
    timestamp: "2026-11-23T12:00:03.120Z",
    data: {
      watch_id: "wch_1",
      call_sid: "OUT-1",
      source: "default",
      status: "failure",
      previous_status: "calling",
      reason: "call queueing: max timeout limit exceeded",
      terminal: true,
      sequence: 3,
      observed_at: "2026-11-23T12:00:03.120Z",
      observed_after: "2026-11-23T12:00:01.100Z",
      metadata: { lead_id: "00Q5g000" },
      details: {},
    },
    deliveries: [{ id: "dlv_1", endpoint_id: "ep_1", status: "pending", attempt_count: 1, next_attempt_at: "2026-11-24T12:00:05.000Z" }],
  });
});

test("a call is its last known status", async () => {
  const { send } = createTestApi();
  expect((await send("GET", "/v1/calls/OUT-1")).body).toEqual({
    call_sid: "OUT-1",
    source: "default",
    status: null,
    reason: "",
    terminal: false,
    observed_at: null,
    details: {},
  });
});
