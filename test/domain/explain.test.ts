import { describe, expect, test } from "vitest";
import type { DeliveryStatus } from "../../src/domain/deliveries/delivery.ts";
import { explainDelivery, explainEndpoint, explainWatch } from "../../src/domain/explain.ts";
import type { DeliveryExplainInput, EndpointExplainInput, WatchExplainInput } from "../../src/domain/explain.ts";
import { healthy } from "../harness/deliveries.ts";

const nowMs = Date.UTC(2026, 10, 24, 12);
const soonMs = nowMs + 60_000;
const open = { state: "enabled", reason: null, pausedUntilMs: null } as const;
const paused = { ...open, pausedUntilMs: soonMs } as const;
const disabled = { state: "disabled", reason: "failing", pausedUntilMs: null } as const;

describe("explainWatch", () => {
  const active = { status: "active", endReason: null, expiresAtMs: nowMs + 86_400_000, endedAtMs: null } as const;
  const late = { ...active, expiresAtMs: nowMs - 60_000 } as const;
  const unseen = { status: null, reason: "", details: null, terminal: false, observedAtMs: null, lastGoodPollAtMs: null };
  const calling = { ...unseen, status: "calling", observedAtMs: nowMs, lastGoodPollAtMs: nowMs };
  const until = "until 2026-11-25T12:00:00.000Z";

  function explain(over: Partial<WatchExplainInput>): string {
    return explainWatch({ watch: active, call: unseen, endpoint: open, pendingDeliveries: 0, progress: null, nowMs, ...over });
  }
  const polled = (problem: NonNullable<WatchExplainInput["progress"]>["problem"], nextPollAtMs: number | null = null) => ({
    polledAtMs: nowMs - 1000,
    nextPollAtMs,
    problem,
  });

  test.each<[expected: string, over: Partial<WatchExplainInput>]>([
    ["waiting for the first poll of the call", {}],
    ["waiting for the first poll of the call", { progress: { polledAtMs: null, nextPollAtMs: nowMs, problem: null } }],
    ["waiting for the first poll of the call", { progress: polled("source_slowed") }],
    [`waiting for the call to leave "calling", ${until}`, { call: calling }],
    [
      `waiting for the call to leave "calling", next poll at 2026-11-24T12:01:00.000Z, ${until}`,
      { call: calling, progress: polled(null, soonMs) },
    ],
    [`waiting for the call to leave "calling", ${until}`, { call: calling, progress: polled("source_slowed", nowMs) }],
    [`waiting for the upstream to know the call, ${until}`, { progress: polled("not_found_yet") }],
    [`waiting for the upstream to answer again (polled with backoff), ${until}`, { call: calling, progress: polled("upstream_errors") }],
    [
      `waiting for the source, which is suspended, to answer again, then for the call to go on, ${until}`,
      { progress: polled("source_suspended") },
    ],
    // After the deadline the watch waits for one more poll, two hours at most.
    ["waiting for the poll that ends the watch, until 2026-11-24T13:59:00.000Z", { watch: late }],
    ["waiting for the poll that ends the watch, until 2026-11-24T13:59:00.000Z", { watch: late, call: calling, progress: polled(null) }],
    [
      "waiting for the source, which is suspended, to answer again, then for the poll that ends the watch, until 2026-11-24T13:59:00.000Z",
      { watch: late, progress: polled("source_suspended") },
    ],
    [
      "waiting for the upstream to answer again (polled with backoff), then for the poll that ends the watch, until 2026-11-24T13:59:00.000Z",
      { watch: late, call: calling, progress: polled("upstream_errors") },
    ],
    [
      `waiting for the call to leave "calling", ${until}; 2 webhooks are still pending, until the endpoint is enabled again (disabled after nothing but failures)`,
      { call: calling, pendingDeliveries: 2, endpoint: disabled },
    ],
    ["completed: the call has ended", { watch: { ...active, status: "completed" } }],
    ["completed: the call has ended; 1 webhook is still pending", { watch: { ...active, status: "completed" }, pendingDeliveries: 1 }],
    [
      "completed: the call has ended; 1 webhook is still pending, until the endpoint's pause ends at 2026-11-24T12:01:00.000Z",
      { watch: { ...active, status: "completed" }, pendingDeliveries: 1, endpoint: paused },
    ],
    [
      "completed: the call has ended; 3 webhooks are still pending",
      { watch: { ...active, status: "completed" }, pendingDeliveries: 3, endpoint: null },
    ],
    ["ended: the upstream does not know the call", { watch: { ...active, status: "ended", endReason: "not_found" } }],
    ["ended: the upstream forgot the call before it said how it ended", { watch: { ...active, status: "ended", endReason: "lost" } }],
    ["ended: the upstream refuses the SID", { watch: { ...active, status: "ended", endReason: "rejected" } }],
    ["ended: the deadline passed before the call ended", { watch: { ...active, status: "ended", endReason: "expired" } }],
    ["canceled: the watch was deleted", { watch: { ...active, status: "canceled", endReason: "deleted" } }],
    ["canceled: the endpoint answered 410", { watch: { ...active, status: "canceled", endReason: "gone" } }],
  ])("%s", (expected, over) => {
    expect(explain(over)).toBe(expected);
  });

  test("a status is quoted and escaped", () => {
    expect(explain({ call: { ...calling, status: 'on "hold"' } })).toContain(String.raw`leave "on \"hold\""`);
  });
});

describe("explainDelivery", () => {
  const pending = { status: "pending", attemptCount: 0, nextAttemptAtMs: nowMs, settledAtMs: null } as const;

  function explain(over: Partial<DeliveryExplainInput>): string {
    return explainDelivery({ delivery: pending, endpoint: open, dueAtMs: nowMs, blockedBySequence: null, leased: false, nowMs, ...over });
  }

  test.each<[expected: string, over: Partial<DeliveryExplainInput>]>([
    ["is due now and waits for capacity of its endpoint", {}],
    ["attempt 1 is being made", { leased: true }],
    ["attempt 3 is being made", { leased: true, delivery: { ...pending, attemptCount: 2 }, endpoint: disabled }],
    [
      "waits for attempt 3 at 2026-11-24T12:01:00.000Z",
      { delivery: { ...pending, attemptCount: 2, nextAttemptAtMs: soonMs }, dueAtMs: soonMs },
    ],
    [
      "delivered after 1 attempt; one manual retry is being made",
      { leased: true, delivery: { ...pending, status: "delivered", attemptCount: 1 }, dueAtMs: null },
    ],
    [
      "exhausted after 10 attempts; one manual retry is due now",
      { delivery: { ...pending, status: "exhausted", attemptCount: 10 }, dueAtMs: null },
    ],
    ["waits for event 4 of the same watch, which goes first", { dueAtMs: null, blockedBySequence: 4 }],
    ["waits for event 4 of the same watch, which goes first", { dueAtMs: null, blockedBySequence: 4, endpoint: paused }],
    [
      "waits for event 4 of the same watch, which goes first, but no longer than until 2026-11-24T12:01:00.000Z",
      { dueAtMs: soonMs, blockedBySequence: 4 },
    ],
    ["is due now and waits for capacity of its endpoint", { dueAtMs: nowMs, blockedBySequence: 4 }],
    [
      "is due now and waits for capacity of its endpoint",
      { delivery: { ...pending, nextAttemptAtMs: nowMs - 1 }, dueAtMs: nowMs, blockedBySequence: 4 },
    ],
    ["waits until the endpoint's pause ends at 2026-11-24T12:01:00.000Z", { endpoint: paused }],
    ["is due now and waits for capacity of its endpoint", { endpoint: { ...open, pausedUntilMs: nowMs } }],
    ["waits until the endpoint is enabled again (disabled after nothing but failures)", { endpoint: disabled, dueAtMs: null }],
    ["waits until the endpoint is enabled again (disabled after a 410)", { endpoint: { ...disabled, reason: "gone" } }],
    ["waits until the endpoint is enabled again (disabled by its owner)", { endpoint: { ...disabled, reason: "client" } }],
    ["waits until the endpoint's owner ends the pause", { endpoint: { ...open, state: "paused", reason: "client" } }],
  ])("%s", (expected, over) => {
    expect(explain(over)).toBe(expected);
  });

  test.each<[status: DeliveryStatus, attemptCount: number, expected: string]>([
    ["delivered", 1, "delivered after 1 attempt"],
    ["delivered", 3, "delivered after 3 attempts"],
    ["exhausted", 10, "exhausted after 10 attempts: the retry schedule is used up; retry or recover sends it again"],
    ["failed", 1, "failed for good after 1 attempt; retry or recover sends it again"],
    ["canceled", 0, "canceled: its watch, hook or endpoint is gone"],
    ["superseded", 2, "superseded: a later event of the same call was delivered first"],
    ["expired", 0, "expired: the endpoint stayed disabled until the retention time ran out"],
  ])("%s after %i", (status, attemptCount, expected) => {
    expect(explain({ delivery: { status, attemptCount, nextAttemptAtMs: null, settledAtMs: nowMs }, dueAtMs: null })).toBe(expected);
  });
});

describe("explainEndpoint", () => {
  const enabled = { state: "enabled", reason: null, sinceMs: null, health: healthy } as const;

  test.each<[expected: string, over: Partial<EndpointExplainInput>]>([
    ["no delivery is pending", {}],
    ["1 webhook is pending", { backlog: 1, oldestDueAtMs: nowMs }],
    ["2 webhooks are pending, the next at 2026-11-24T12:01:00.000Z", { backlog: 2, oldestDueAtMs: soonMs }],
    [
      "1 webhook is pending, the next at 2026-11-24T12:01:00.000Z; the last attempt failed, since 2026-11-24T12:00:00.000Z",
      {
        backlog: 1,
        oldestDueAtMs: soonMs,
        endpoint: { ...enabled, health: { ...healthy, consecutiveFailures: 1, failingSinceMs: nowMs } },
      },
    ],
    [
      "no delivery is pending; the last 3 attempts failed, since 2026-11-24T12:00:00.000Z",
      { endpoint: { ...enabled, health: { ...healthy, consecutiveFailures: 3, failingSinceMs: nowMs } } },
    ],
    [
      "5 webhooks are pending; nothing is sent until the endpoint's pause ends at 2026-11-24T12:01:00.000Z",
      { backlog: 5, endpoint: { ...enabled, health: { ...healthy, pausedUntilMs: soonMs } } },
    ],
    [
      "no delivery is pending; nothing is sent until the endpoint's host's pause ends at 2026-11-24T12:01:00.000Z",
      { hostPausedUntilMs: soonMs },
    ],
    [
      "5 webhooks are pending; nothing is sent until the endpoint's pause ends at 2026-11-24T12:01:00.000Z",
      { backlog: 5, hostPausedUntilMs: nowMs + 1, endpoint: { ...enabled, health: { ...healthy, pausedUntilMs: soonMs } } },
    ],
    [
      "7 webhooks are pending; nothing is sent until the endpoint is enabled again (disabled after a 410)",
      { backlog: 7, endpoint: { ...enabled, state: "disabled", reason: "gone", sinceMs: nowMs } },
    ],
    [
      "7 webhooks are pending; nothing is sent until the endpoint's owner ends the pause",
      { backlog: 7, endpoint: { ...enabled, state: "paused", reason: "client" } },
    ],
  ])("%s", (expected, over) => {
    expect(explainEndpoint({ endpoint: enabled, hostPausedUntilMs: null, backlog: 0, oldestDueAtMs: null, nowMs, ...over })).toBe(expected);
  });
});
