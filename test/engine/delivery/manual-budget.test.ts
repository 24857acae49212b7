import { expect, test } from "vitest";
import { ManualBudget } from "../../../src/engine/delivery/manual-budget.ts";
import type { ManualBudgetLimits } from "../../../src/engine/delivery/manual-budget.ts";

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

test.each([1, 3, 4, 32])(
  "the instances' parts of a limit of %i add up to it where there is one for each, and no account has all of its rest on one instance",
  (limit) => {
    for (let instances = 1; instances <= 6; instances++) {
      const takenOf = (limits: ManualBudgetLimits, account: string) =>
        Array.from({ length: instances }, (_, rank) => {
          const budget = new ManualBudget(limits);
          budget.setShare({ rank, instances });
          let taken = 0;
          while (budget.acquire(account) !== null) taken += 1;
          return taken;
        });
      const accounts = Array.from({ length: 60 }, (_, n) => `acc_${n}`);
      const parts = accounts.map((account) => takenOf({ maxPerAccount: limit, maxInAll: 0 }, account));
      for (const of of parts) expect(of.reduce((sum, part) => sum + part, 0)).toBe(Math.max(limit, instances));
      for (let rank = 0; rank < instances; rank++) expect(parts.some((of) => (of[rank] ?? 0) > 0)).toBe(true);
      expect(takenOf({ maxPerAccount: 0, maxInAll: limit }, "a").reduce((sum, part) => sum + part, 0)).toBe(Math.max(limit, instances));
    }
  },
);

test("an instance that joins lowers the parts of the others, and what is under way ends as it was accepted", () => {
  const budget = new ManualBudget({ maxPerAccount: 0, maxInAll: 4 });
  const places = Array.from({ length: 4 }, () => budget.acquire("a"));
  budget.setShare({ rank: 0, instances: 2 });
  for (const place of places.slice(0, 2)) place?.[Symbol.dispose]();
  expect(budget.acquire("a")).toBeNull();
  places[2]?.[Symbol.dispose]();
  expect([budget.acquire("a") !== null, budget.acquire("a")]).toEqual([true, null]);
  budget.setShare({ rank: 0, instances: 1 });
  expect(budget.acquire("a")).not.toBeNull();
});
