import { expect, test } from "vitest";
import { ManualBudget } from "../../../src/engine/delivery/manual-budget.ts";

test("an account has its places, and all accounts together have theirs", () => {
  const budget = new ManualBudget({ maxPerAccount: 2, maxInAll: 3 });
  const places = ["a", "a", "a", "b", "b"].map((account) => budget.acquire(account));
  expect(places.map((place) => place !== null)).toEqual([true, true, false, true, false]);
  places[0]?.[Symbol.dispose]();
  places[0]?.[Symbol.dispose]();
  expect([budget.acquire("b") !== null, budget.acquire("c")]).toEqual([true, null]);
});

test("0 is no limit", () => {
  const budget = new ManualBudget({ maxPerAccount: 0, maxInAll: 0 });
  for (let taken = 0; taken < 100; taken++) expect(budget.acquire("a")).not.toBeNull();
});
