import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AccountLoads } from "../../../src/engine/sources/account-loads.ts";

const intervalMinMs = 2000;

function loadsOf(ratePerSecond: number, calls: Readonly<Record<string, number>>): AccountLoads {
  const loads = new AccountLoads(ratePerSecond, intervalMinMs);
  for (const [accountId, count] of Object.entries(calls)) for (let added = 0; added < count; added++) loads.change(accountId, 0, 1);
  loads.divide();
  return loads;
}

describe("the rate of a source among accounts", () => {
  test("an account with one call is polled at the shortest interval beside one with 35,000", () => {
    const loads = loadsOf(200, { large: 35_000, small: 1 });
    expect(loads.intervalMs("small")).toBe(2000);
    expect(loads.intervalMs("large")).toBeCloseTo((35_000 / 199.5) * 1000);
    expect(loads.longestIntervalMs).toBe(loads.intervalMs("large"));
    expect(loads.intervalMs("newcomer")).toBe(2000);
  });

  test("what one account does not need the others get", () => {
    const loads = loadsOf(100, { a: 20, b: 1000, c: 500 });
    // a needs 10 polls a second; b and c get 45 each.
    expect([loads.intervalMs("a"), loads.intervalMs("b"), loads.intervalMs("c")].map(Math.round)).toEqual([2000, 22_222, 11_111]);
  });

  test("no division exceeds the rate, and an account with fewer calls never waits longer", () => {
    const counts = fc.dictionary(fc.constantFrom(..."abcdefgh"), fc.integer({ min: 1, max: 400 }));
    fc.assert(
      fc.property(counts, fc.integer({ min: 1, max: 300 }), (calls, ratePerSecond) => {
        const loads = loadsOf(ratePerSecond, calls);
        const demand = Object.values(calls).reduce((sum, count) => sum + count / 2, 0);
        const polls = Object.entries(calls).map(([accountId, count]) => (count * 1000) / loads.intervalMs(accountId));
        const total = polls.reduce((sum, perSecond) => sum + perSecond, 0);
        expect(total).toBeLessThanOrEqual(ratePerSecond * 1.000_001);
        expect(total).toBeGreaterThanOrEqual(Math.min(demand, ratePerSecond) * 0.999_999);
        const byCalls = Object.entries(calls).toSorted(([, one], [, other]) => one - other);
        const intervals = byCalls.map(([accountId]) => loads.intervalMs(accountId));
        for (const [index, intervalMs] of intervals.entries())
          expect(intervalMs).toBeGreaterThanOrEqual((intervals[index - 1] ?? 0) * 0.999_999);
      }),
      { numRuns: 100 },
    );
  });

  test("calls whose age requires a longer interval leave the rate to the younger ones", () => {
    const counts = fc.record({ young: fc.nat(5000), old: fc.nat(5000), oldest: fc.nat(5000), perSecond: fc.integer({ min: 1, max: 300 }) });
    fc.assert(
      fc.property(counts, ({ young, old, oldest, perSecond }) => {
        const loads = new AccountLoads(perSecond, intervalMinMs);
        for (let count = 0; count < oldest; count++) loads.change("a", 120_000, 1);
        for (let count = 0; count < young; count++) loads.change("a", 0, 1);
        for (let count = 0; count < old; count++) loads.change("a", 30_000, 1);
        const intervalMs = loads.intervalMs("a");
        const demandAt = (ms: number) => (young / ms + old / Math.max(ms, 30_000) + oldest / Math.max(ms, 120_000)) * 1000;
        expect(demandAt(intervalMs)).toBeLessThanOrEqual(perSecond * 1.000_001);
        if (intervalMs === intervalMinMs) return;
        if (young > 0 || intervalMs > 30_000) expect(demandAt(intervalMs * 0.99)).toBeGreaterThan(perSecond * 0.98);
      }),
      { numRuns: 50 },
    );
  });

  test("old calls that alone are too many stretch the young ones' interval too", () => {
    const loads = new AccountLoads(100, intervalMinMs);
    for (let count = 0; count < 9000; count++) loads.change("a", 30_000, 1);
    for (let count = 0; count < 1000; count++) loads.change("a", 0, 1);
    expect(loads.intervalMs("a")).toBeCloseTo(100_000);
  });

  test("calls that end give their part back, and the only account is known", () => {
    const loads = loadsOf(10, { a: 20, b: 100 });
    expect([loads.soleAccountId, loads.calls]).toEqual([null, 120]);
    for (let ended = 0; ended < 100; ended++) loads.change("b", 0, -1);
    expect([loads.soleAccountId, loads.calls, loads.intervalMs("a"), loads.longestIntervalMs]).toEqual(["a", 20, 2000, 2000]);
  });

  test("with thousands of accounts the parts follow after some changes, and at the next division at the latest", () => {
    const loads = new AccountLoads(100, intervalMinMs);
    for (let account = 0; account < 5000; account++) loads.change(`a${account}`, 0, 1);
    loads.divide();
    expect(loads.intervalMs("a7")).toBeCloseTo(50_000);
    for (let ended = 0; ended < 4900; ended++) loads.change(`a${ended}`, 0, -1);
    loads.divide();
    expect(loads.intervalMs("a4950")).toBe(2000);
  });
});
