import { expect, onTestFinished, test } from "vitest";
import type { Notice } from "../../src/ports/stores/call-store.ts";
import type { AwaitedChange } from "../../src/ports/use-cases/live-state.ts";
import type { FeedPage } from "../../src/ports/stores/read-store.ts";
import { StoreUnavailableError } from "../../src/domain/errors.ts";
import { apiKey, createTestApi } from "./test-api.ts";
import { account, apiKeyView, eventView } from "./views.ts";

const settle = () => new Promise((resolve) => setTimeout(resolve, 5));
const pageSize = 100;
const notice: Notice = { accountId: "acc_1", watchId: "wch_1", callSid: "OUT-1", sequence: 1, eventType: "call.queued" };
/** A page of 100 events with 16 KiB each. */
const { event, deliveries } = eventView;
const large = { event: { ...event, data: { ...event.data, reason: "r".repeat(16_384) } }, deliveries } as typeof eventView;

/** A stream of a scripted feed: `pages` are what the next reads find, and after them nothing. */
async function open(pages: number, { isKnown = true }: { readonly isKnown?: boolean } = {}) {
  const state = { reads: 0, left: pages, isKnown, isAway: false };
  let change: AwaitedChange | null = null;
  let signal: AbortSignal | null = null;
  const api = createTestApi({
    authentication: { findByKey: async () => (state.isKnown ? { kind: "account", account, key: apiKeyView } : null) },
    store: {
      readFeed: async (): Promise<FeedPage> => {
        state.reads += 1;
        if (state.isAway) throw new StoreUnavailableError("away");
        const found = state.left > 0 ? pageSize : 0;
        state.left = Math.max(0, state.left - 1);
        const data = Array.from({ length: found }, () => large);
        return { data, cursors: data.map((_, n) => `c${state.reads}-${n}`), nextCursor: `c${state.reads - (found > 0 ? 0 : 1)}` };
      },
    },
    live: {
      changed: (given, _timeoutMs, ended) => {
        [change, signal] = [given, ended];
        return new Promise((resolve) => ended.addEventListener("abort", () => resolve("aborted")));
      },
    },
  });
  const response = await api.stream("/v1/events", { accept: "text/event-stream", "x-api-key": apiKey });
  const reader = response.body?.getReader();
  if (reader === undefined) throw new Error("a stream has a body");
  onTestFinished(() => reader.cancel().catch(() => undefined));
  const isEnded = () => signal?.aborted === true;
  return {
    state,
    reader,
    isEnded,
    publish: async (newPages: number) => {
      state.left = newPages;
      expect(change?.matches?.(notice)).toBe(false);
      await settle();
    },
    pass: async (seconds: number) => {
      for (let n = 0; n < seconds; n++) {
        await api.clock.advance(1000);
        await settle();
      }
    },
  };
}

test("what a reader catches up with is read as it takes it, and waits for as long as it wants", async () => {
  const { state, reader, isEnded, pass } = await open(20);
  await pass(120);
  expect(state.reads).toBeLessThan(4);
  expect(isEnded()).toBe(false);
  let events = 0;
  for (const decoder = new TextDecoder(); events < 20 * pageSize;) {
    const { value, done } = await reader.read();
    if (done) break;
    events += decoder.decode(value).split("event: ").length - 1;
  }
  expect(events).toBe(20 * pageSize);
});

test("a reader that leaves a mebibyte of new events is cut off; one that takes them is not", async () => {
  const stalled = await open(0);
  await stalled.publish(2);
  expect(stalled.isEnded()).toBe(false);
  await stalled.pass(7);
  expect(stalled.isEnded()).toBe(true);
  const cut = async () => {
    while (!(await stalled.reader.read()).done);
  };
  await expect(cut()).rejects.toThrow("did not take");

  const taking = await open(0);
  let bytes = 0;
  void (async () => {
    for (let read = await taking.reader.read(); !read.done; read = await taking.reader.read()) bytes += read.value.length;
  })();
  for (let round = 0; round < 5; round++) {
    await taking.publish(2);
    await taking.pass(3);
  }
  expect(taking.isEnded()).toBe(false);
  expect(bytes).toBeGreaterThan(10 * pageSize * 16_384);
});

test("a stream ends within 5 s of its key, and goes on where the store was away", async () => {
  const { state, reader, isEnded, pass, publish } = await open(0);
  const text: string[] = [];
  void (async () => {
    for (let read = await reader.read(); !read.done; read = await reader.read()) text.push(new TextDecoder().decode(read.value));
  })();
  await settle();
  expect(text).toEqual([": open\nid: c0\n\n"]);
  state.isAway = true;
  await publish(0);
  await pass(3);
  state.isAway = false;
  await pass(15);
  expect(isEnded()).toBe(false);
  expect(text.slice(1).every((comment) => /^: open\nid: c\d+\n\n$/.test(comment))).toBe(true);
  expect(text).toHaveLength(2);
  state.isKnown = false;
  await pass(2);
  expect(isEnded()).toBe(true);
});

test.each([
  ["text/event-stream", true],
  ["TEXT/EVENT-STREAM; q=0.1, */*", true],
  ["application/json, text/event-stream", true],
  ["application/json;q=0.5, text/event-stream;q=0.9", true],
  ["application/json, text/event-stream;q=0.9", false],
  ["text/event-stream;q=0", false],
  ["text/event-stream ; Q=0.000, */*", false],
  ["text/*", false],
  ["*/*", false],
  ["", false],
])("Accept: %s is a stream: %s", async (accept, isStream) => {
  const api = createTestApi({ live: { changed: () => new Promise(() => undefined) } });
  const response = await api.stream("/v1/events", { accept, "x-api-key": apiKey });
  await response.body?.cancel();
  expect([response.status, response.headers.get("content-type")]).toEqual([200, isStream ? "text/event-stream" : "application/json"]);
});
