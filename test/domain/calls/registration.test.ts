import { describe, expect, test } from "vitest";
import type { CallStatus } from "../../../src/domain/calls/call.ts";
import { decideRepeat, isStatusCurrent, newWatch } from "../../../src/domain/calls/registration.ts";
import { filterByNames, unfiltered } from "../../../src/domain/events/event-filter.ts";
import { replayableForMs } from "../../../src/domain/calls/watch.ts";
import type { WatchEndReason, WatchStatus } from "../../../src/domain/calls/watch.ts";

const nowMs = Date.UTC(2026, 10, 24, 12);

describe("decideRepeat", () => {
  const wanted = { filter: filterByNames(["terminal"]), metadata: { lead: "1" } };
  const active = { id: "wch_1", status: "active", endedAtMs: null, ...wanted } as const;
  const completed = { ...active, status: "completed" } as const;

  test("nothing there: a new watch", () => {
    expect(decideRepeat(null, wanted, nowMs)).toEqual({ kind: "new" });
  });

  test("an active one is found again, however old", () => {
    expect(decideRepeat(active, wanted, nowMs)).toEqual({ kind: "existing", watchId: "wch_1" });
  });

  test.each<[endedAgoMs: number, kind: string]>([
    [0, "existing"],
    [replayableForMs - 1, "existing"],
    [replayableForMs, "new"],
    [30 * replayableForMs, "new"],
  ])("a completed one %i ms after its end: %s", (endedAgoMs, kind) => {
    expect(decideRepeat({ ...completed, endedAtMs: nowMs - endedAgoMs }, wanted, nowMs).kind).toBe(kind);
  });

  test.each<[status: WatchStatus, reason: WatchEndReason]>([
    ["ended", "not_found"],
    ["ended", "lost"],
    ["ended", "rejected"],
    ["ended", "expired"],
    ["canceled", "deleted"],
    ["canceled", "gone"],
  ])("after any other end (%s, %s) a repeat makes a new one, also when it differs", (status) => {
    const existing = { ...active, status, endedAtMs: nowMs - 1 };
    expect(decideRepeat(existing, wanted, nowMs)).toEqual({ kind: "new" });
    expect(decideRepeat(existing, { filter: unfiltered, metadata: {} }, nowMs)).toEqual({ kind: "new" });
  });

  test.each<[name: string, other: Partial<typeof wanted>, fields: string[]]>([
    ["another filter", { filter: filterByNames(["call.*"]) }, ["events"]],
    ["no filter", { filter: unfiltered }, ["events"]],
    ["another value", { metadata: { lead: "2" } }, ["metadata"]],
    ["another key", { metadata: { deal: "1" } as never }, ["metadata"]],
    ["a key more", { metadata: { lead: "1", deal: "2" } as never }, ["metadata"]],
    ["no metadata", { metadata: {} as never }, ["metadata"]],
    ["both", { filter: filterByNames(["call.*"]), metadata: { lead: "2" } }, ["events", "metadata"]],
  ])("%s differs", (_, other, fields) => {
    for (const existing of [active, { ...completed, endedAtMs: nowMs }])
      expect(decideRepeat(existing, { ...wanted, ...other }, nowMs)).toEqual({ kind: "differs", watchId: "wch_1", fields });
  });

  test("metadata is compared by what was given, not by what an object inherits", () => {
    const existing = { ...active, metadata: { constructor: "a" } };
    expect(decideRepeat(existing, { ...wanted, metadata: { toString: "a" } as never }, nowMs).kind).toBe("differs");
    const own = JSON.parse('{"__proto__":"a"}') as Record<string, string>;
    expect(decideRepeat({ ...active, metadata: own }, { ...wanted, metadata: { x: "a" } }, nowMs).kind).toBe("differs");
  });
});

describe("isStatusCurrent", () => {
  const longAgoMs = nowMs - 3_600_000;
  const calling: CallStatus = {
    status: "calling",
    reason: "",
    details: null,
    terminal: false,
    observedAtMs: longAgoMs,
    lastGoodPollAtMs: longAgoMs,
  };

  test.each<[name: string, call: CallStatus, polledAtMs: number | null, known: boolean]>([
    ["polled just now", calling, nowMs, true],
    ["polled a minute ago", calling, nowMs - 60_000, true],
    ["polled longer ago", calling, nowMs - 60_001, false],
    ["not polled by this process", calling, null, false],
    ["polled just now, as it was written down", { ...calling, lastGoodPollAtMs: nowMs - 60_000 }, null, true],
    ["written down later than it is now", { ...calling, lastGoodPollAtMs: nowMs + 3_600_000 }, null, false],
    ["ended, whenever it was", { ...calling, status: "success", terminal: true }, null, true],
    ["never seen", { ...calling, status: null }, nowMs, false],
  ])("%s", (_, call, polledAtMs, known) => {
    expect(isStatusCurrent(call, polledAtMs, nowMs)).toBe(known);
  });
});

test("a new watch is active, without events, and without an endpoint if it has no URL", () => {
  const wish = {
    id: "wch_1",
    accountId: "acc_1",
    sourceName: "default",
    callSid: "OUT-1",
    filter: unfiltered,
    metadata: { lead: "1" },
    trace: null,
    expiresAtMs: nowMs + 1,
    nowMs,
  };
  const watch = newWatch(wish, "call_1", { id: "ep_1", url: "https://a.example/" });
  const fresh = { status: "active", endReason: null, sequence: 0, createdAtMs: nowMs, endedAtMs: null, callId: "call_1" };
  const { nowMs: _, ...same } = wish;
  expect(watch).toEqual({ ...same, ...fresh, endpointId: "ep_1", callbackUrl: "https://a.example/" });
  expect(newWatch(wish, "call_1", null)).toMatchObject({ endpointId: null, callbackUrl: null });
});
