import { expect, test } from "vitest";
import { attemptDecisions } from "../../../src/domain/deliveries/attempt.ts";
import { countFolds, countOf, successRate } from "../../../src/domain/deliveries/success-rate.ts";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const nowMs = Date.UTC(2026, 10, 24, 12, 34, 56, 789);

test.each(attemptDecisions)("%s counts once, in its minute", (decision) => {
  const succeeded = decision === "delivered" ? 1 : 0;
  expect(countOf(decision, nowMs)).toEqual({ atMs: Date.UTC(2026, 10, 24, 12, 34), spanMs: minute, succeeded, failed: 1 - succeeded });
});

test.each([
  [{ succeeded: 0, failed: 0 }, null],
  [{ succeeded: 1, failed: 0 }, 1],
  [{ succeeded: 0, failed: 7 }, 0],
  [{ succeeded: 2, failed: 1 }, 0.6667],
])("the rate of %j is %j", (sum, rate) => {
  expect(successRate(sum)).toBe(rate);
});

test("counts are kept by minute for 2 h, by hour for 8 days, by day for the retention", () => {
  expect(countFolds({ nowMs, beforeMs: nowMs - 30 * day })).toEqual([
    { spanMs: minute, beforeMs: Date.UTC(2026, 10, 24, 10, 34), intoMs: hour },
    { spanMs: hour, beforeMs: Date.UTC(2026, 10, 16, 12), intoMs: day },
    { spanMs: day, beforeMs: Date.UTC(2026, 9, 25), intoMs: null },
  ]);
  // A short retention does not take the counts of the last 24 hours.
  expect(countFolds({ nowMs, beforeMs: nowMs }).at(-1)).toEqual({ spanMs: day, beforeMs: Date.UTC(2026, 10, 15), intoMs: null });
});
