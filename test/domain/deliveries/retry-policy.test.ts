import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { delayBeforeStep, parseSchedule, scheduleSpanMs } from "../../../src/domain/deliveries/retry-policy.ts";
import { policy } from "../../harness/deliveries.ts";

const hourMs = 3_600_000;

describe("parseSchedule", () => {
  test("reads the default: 10 attempts in about 75 h", () => {
    const parsed = parseSchedule("0s,5s,5m,30m,2h,5h,10h,14h,20h,24h");
    expect(parsed).toEqual({ kind: "schedule", scheduleMs: policy.scheduleMs });
    expect(scheduleSpanMs(policy) / hourMs).toBeCloseTo(75.6, 1);
  });

  test.each<[text: string, scheduleMs: number[]]>([
    ["250ms", [250]],
    [" 0s , 1m ", [0, 60_000]],
    ["0s,1d", [0, 86_400_000]],
    ["30d", [2_592_000_000]],
    [Array(100).fill("1s").join(","), Array<number>(100).fill(1000)],
  ])("reads %j", (text, scheduleMs) => {
    expect(parseSchedule(text)).toEqual({ kind: "schedule", scheduleMs });
  });

  test.each(["", ",", "0s,", "5", "s", "-5s", "1.5s", "5S", "5 s", "5w", "31d", "999999999d", "0s;5s", Array(101).fill("1s").join(",")])(
    "refuses %j",
    (text) => {
      expect(parseSchedule(text)).toMatchObject({ kind: "invalid", detail: expect.stringContaining("ms, s, m, h, d") });
    },
  );

  test("writes and reads alike", () => {
    const entry = fc.tuple(fc.integer({ min: 0, max: 720 }), fc.constantFrom("ms", "s", "m", "h"));
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 100 }), (entries) => {
        const unitMs = { ms: 1, s: 1000, m: 60_000, h: hourMs };
        expect(parseSchedule(entries.map(([n, unit]) => `${n}${unit}`).join(","))).toEqual({
          kind: "schedule",
          scheduleMs: entries.map(([n, unit]) => n * unitMs[unit]),
        });
      }),
    );
  });
});

describe("delayBeforeStep", () => {
  test("jitter only ever lengthens a delay, by at most a fifth", () => {
    const step = fc.nat({ max: policy.scheduleMs.length - 1 });
    fc.assert(
      fc.property(step, fc.double({ min: 0, max: 1, noNaN: true }), (n, jitter) => {
        const baseMs = policy.scheduleMs[n] ?? Number.NaN;
        const delayMs = delayBeforeStep(policy, n, jitter);
        expect(delayMs).toBeGreaterThanOrEqual(baseMs);
        expect(delayMs).toBeLessThanOrEqual(baseMs * 1.2);
      }),
    );
  });

  test("more jitter never means less delay", () => {
    const jitter = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.nat({ max: 9 }), jitter, jitter, (n, a, b) => {
        const [less, more] = [Math.min(a, b), Math.max(a, b)];
        expect(delayBeforeStep(policy, n, less) ?? 0).toBeLessThanOrEqual(delayBeforeStep(policy, n, more) ?? 0);
      }),
    );
  });

  test("is null past the schedule's end", () => {
    expect(delayBeforeStep(policy, 10, 0.5)).toBeNull();
    expect(delayBeforeStep({ ...policy, scheduleMs: [0] }, 1, 0)).toBeNull();
  });
});

test("the span does not count the delay before the first attempt", () => {
  expect(scheduleSpanMs({ ...policy, scheduleMs: [9000, 1000, 500] })).toBe(1500);
  expect(scheduleSpanMs({ ...policy, scheduleMs: [9000] })).toBe(0);
});
