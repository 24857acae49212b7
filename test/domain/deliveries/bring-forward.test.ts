import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { broughtForwardTo, claimOrder, isBroughtForward } from "../../../src/domain/deliveries/bring-forward.ts";
import { decideAfterAttempt } from "../../../src/domain/deliveries/delivery-decision.ts";
import type { AttemptInput, AttemptResult } from "../../../src/domain/deliveries/delivery-decision.ts";
import type { DeliveryState } from "../../../src/domain/deliveries/delivery.ts";
import type { EndpointHealth } from "../../../src/domain/deliveries/endpoint.ts";
import { answered, attemptInput, fresh, healthy, policy, startMs } from "../../harness/deliveries.ts";

const hourMs = 3_600_000;
const nowMs = startMs + 100;
/** Its fifth attempt follows in two hours. */
const waiting: Partial<DeliveryState> = {
  attemptCount: 4,
  stepsSpent: 4,
  nextAttemptAtMs: startMs + 2 * hourMs,
  firstAttemptAtMs: startMs - 10 * hourMs,
  firstFailedAtMs: startMs - 10 * hourMs,
  lastRecovery: 0,
};
const early = { number: 5, mode: "early" } as const;

function decide(input: AttemptInput, atMs = nowMs): AttemptResult {
  return decideAfterAttempt(input, policy, { nowMs: atMs, jitter: 0 });
}

describe("a recovery", () => {
  const once = { recoveries: 1, recoveredAtMs: 5 };

  test.each<[name: string, health: Partial<EndpointHealth>, isTest: boolean, after: Partial<EndpointHealth>]>([
    ["is the first 2xx after a failure", { consecutiveFailures: 1 }, false, { recoveries: 1, recoveredAtMs: nowMs }],
    ["is a test's 2xx as well", { ...once, consecutiveFailures: 7 }, true, { recoveries: 2, recoveredAtMs: nowMs }],
    ["is no 2xx after a 2xx", once, false, once],
    ["is none while nothing has failed", {}, false, { recoveries: 0, recoveredAtMs: null }],
  ])("%s", (_, health, isTest, after) => {
    const input = attemptInput(answered(200), { health, isTest, attempt: { mode: isTest ? "manual" : "scheduled" } });
    expect(decide(input).endpoint.health).toMatchObject(after);
  });

  test.each([500, 429, 410, 502])("a %i is none", (statusCode) => {
    const input = attemptInput(answered(statusCode, "1"), { health: { ...once, consecutiveFailures: 3 } });
    expect(decide(input).endpoint.health).toMatchObject(once);
  });

  test("brings forward what failed before it", () => {
    const { delivery } = decide(attemptInput(answered(500), { health: { recoveries: 40 } }));
    expect(delivery.lastRecovery).toBe(40);
    expect(isBroughtForward(delivery.lastRecovery, 40)).toBe(false);
    expect(isBroughtForward(delivery.lastRecovery, 41)).toBe(true);
    expect(isBroughtForward(null, 41)).toBe(false);
    expect(isBroughtForward(0, 0)).toBe(false);
  });
});

describe("an attempt that was brought forward", () => {
  test.each([500, 404, 502])("spends nothing if it is answered %i, and leaves the next attempt where it was", (statusCode) => {
    const { delivery, attempt } = decide(attemptInput(answered(statusCode), { delivery: waiting, attempt: early }));
    expect(delivery).toEqual({ ...fresh, ...waiting, attemptCount: 5, lastRecovery: null });
    expect(attempt.decision).toBe("retry");
  });

  test("exhausts nothing", () => {
    const last = { ...waiting, stepsSpent: 9, firstAttemptAtMs: startMs - 1000 * hourMs };
    for (const outcome of [answered(500), answered(429, "60")])
      expect(decide(attemptInput(outcome, { delivery: last, attempt: early })).delivery).toMatchObject({
        status: "pending",
        stepsSpent: 9,
      });
  });

  test("goes on after the pause if it is deferred, and spends nothing until its regular time", () => {
    const regularAtMs = startMs + 2 * hourMs;
    const first = decide(attemptInput(answered(429, "60"), { delivery: waiting, attempt: early })).delivery;
    expect(first).toMatchObject({ nextAttemptAtMs: nowMs + 60_000, scheduledAtMs: regularAtMs, lastRecovery: null });
    const again = attemptInput(answered(500), { delivery: first, attempt: { number: 6, startedAtMs: nowMs + 60_000 } });
    expect(decide(again, nowMs + 60_100).delivery).toMatchObject({ nextAttemptAtMs: regularAtMs, scheduledAtMs: null, stepsSpent: 4 });
    const late = attemptInput(answered(500), { delivery: first, attempt: { number: 6, startedAtMs: regularAtMs } });
    expect(decide(late, regularAtMs).delivery).toMatchObject({ scheduledAtMs: null, stepsSpent: 5 });
  });

  test("follows a pause that ends after its regular time, as a regular one", () => {
    const { delivery } = decide(attemptInput(answered(429, "7300"), { delivery: waiting, attempt: early }));
    expect(delivery).toMatchObject({ nextAttemptAtMs: nowMs + 7_300_000, scheduledAtMs: null });
    const next = attemptInput(answered(500), { delivery, attempt: { number: 6, startedAtMs: nowMs + 7_300_000 } });
    expect(decide(next, nowMs + 7_300_000).delivery.stepsSpent).toBe(5);
  });

  test("is a regular one if it begins at its regular time or later", () => {
    const begun = { ...early, startedAtMs: waiting.nextAttemptAtMs ?? 0 };
    expect(decide(attemptInput(answered(500), { delivery: waiting, attempt: begun })).delivery.stepsSpent).toBe(5);
  });

  test("at most once a step, for every sequence of answers", () => {
    const answers = fc.constantFrom<[number, string | null]>([200, null], [500, null], [502, null], [429, "1"], [429, "9000"], [503, "5"]);
    fc.assert(
      fc.property(fc.array(fc.record({ answer: answers, waits: fc.boolean() }), { maxLength: 60 }), (turns) => {
        let atMs = startMs;
        let delivery = fresh;
        let health = healthy;
        let broughtForward = new Set<number>();
        for (const { answer, waits } of turns) {
          // Another delivery of the endpoint.
          health = decide(attemptInput(answered(...answer), { health }), (atMs += 1)).endpoint.health;
          const isEarly = !waits && isBroughtForward(delivery.lastRecovery, health.recoveries);
          if (isEarly) {
            expect(broughtForward.has(delivery.stepsSpent)).toBe(false);
            broughtForward = new Set([...broughtForward, delivery.stepsSpent]);
          } else if (waits) atMs = Math.max(atMs, delivery.nextAttemptAtMs ?? 0);
          else continue;
          const before = delivery;
          const attempt = { number: before.attemptCount + 1, startedAtMs: atMs, mode: isEarly ? "early" : "scheduled" } as const;
          const [statusCode, retryAfter] = statusCodeOf(answer);
          const result = decide(attemptInput(answered(statusCode, retryAfter), { delivery, health, attempt }), atMs);
          ({ delivery } = result);
          ({ health } = result.endpoint);
          if (delivery.status !== "pending") return;
          const regularAtMs = before.scheduledAtMs ?? (isEarly ? before.nextAttemptAtMs : null);
          if (regularAtMs !== null && atMs < regularAtMs) {
            expect(delivery.stepsSpent).toBe(before.stepsSpent);
            if (result.attempt.decision === "retry") expect(delivery.nextAttemptAtMs).toBe(regularAtMs);
          }
          expect(delivery.scheduledAtMs === null || delivery.scheduledAtMs > (delivery.nextAttemptAtMs ?? 0)).toBe(true);
        }
      }),
    );
  });
});

/** The delivery itself is never taken. */
function statusCodeOf([statusCode, retryAfter]: [number, string | null]): [number, string | null] {
  return [statusCode === 200 ? 500 : statusCode, retryAfter];
}

describe("claimOrder", () => {
  const claimables = fc.uniqueArray(fc.record({ key: fc.nat(30), dueAtMs: fc.nat(100) }), { selector: ({ key }) => key, maxLength: 30 });

  test("puts what is brought forward at the time of the recovery", () => {
    const due = [1, 40, 90].map((dueAtMs, index) => ({ key: 10 + index, dueAtMs }));
    const brought = [500, 95, 700].map((dueAtMs, index) => ({ key: 20 + index, dueAtMs }));
    expect(claimOrder({ due, early: brought, recoveredAtMs: 50 }, 100, 10)).toEqual([
      { key: 10, mode: "scheduled" },
      { key: 11, mode: "scheduled" },
      { key: 20, mode: "early" },
      { key: 21, mode: "scheduled" },
      { key: 22, mode: "early" },
      { key: 12, mode: "scheduled" },
    ]);
  });

  test("leaves at its own time what was due before the recovery that brings it forward", () => {
    // The second waited for the first, until its hold ended.
    const [first, second] = [
      { key: 1, dueAtMs: 10 },
      { key: 2, dueAtMs: 70 },
    ];
    const chosen = claimOrder({ due: [first, second], early: [first], recoveredAtMs: 90 }, 100, 10);
    expect(chosen.map(({ key }) => key)).toEqual([1, 2]);
  });

  test("takes each once and no more than the limit, those of each list in their order", () => {
    fc.assert(
      fc.property(claimables, fc.nat(100), fc.nat(100), fc.nat(20), (all, atMs, recoveredAtMs, limit) => {
        const due = all.filter(({ dueAtMs }) => dueAtMs <= atMs).toSorted((a, b) => a.dueAtMs - b.dueAtMs);
        const brought = all.filter(({ key, dueAtMs }) => key % 2 === 0 && dueAtMs > recoveredAtMs).toSorted((a, b) => a.key - b.key);
        const chosen = claimOrder({ due, early: brought, recoveredAtMs }, atMs, limit);
        const keys = chosen.map(({ key }) => key);
        expect(new Set(keys).size).toBe(keys.length);
        const union = new Set([...due, ...brought].map(({ key }) => key));
        expect(keys).toHaveLength(Math.min(limit, union.size));
        const inOrder = brought.map(({ key }) => key).filter((key) => keys.includes(key));
        expect(keys.filter((key) => inOrder.includes(key))).toEqual(inOrder);
        for (const { key, mode } of chosen)
          expect(mode).toBe((all.find((one) => one.key === key)?.dueAtMs ?? 0) <= atMs ? "scheduled" : "early");
      }),
    );
  });
});

test("clients see the time of the recovery, unless the delivery is due before", () => {
  const health = { recoveries: 3, recoveredAtMs: 50 };
  expect(broughtForwardTo(500, 0, health)).toBe(50);
  expect(broughtForwardTo(40, 0, health)).toBe(40);
  expect(broughtForwardTo(500, 3, health)).toBe(500);
  expect(broughtForwardTo(500, null, health)).toBe(500);
  expect(broughtForwardTo(null, 0, health)).toBeNull();
});
