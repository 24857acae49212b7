import fc from "fast-check";
import { expect, test } from "vitest";
import { FairCapacity } from "../../src/domain/fair-capacity.ts";

test("one party gets half, and as much as it uses stays free", () => {
  const capacity = new FairCapacity(100);
  for (let n = 0; n < 50; n++) expect(capacity.tryAcquire("a", 1)).toBe(true);
  expect(capacity.tryAcquire("a", 1)).toBe(false);
  capacity.release("a", 10);
  expect(capacity.tryAcquire("a", 10)).toBe(true);
});

test("the first part of a party is accepted, large or small, although the others use all", () => {
  const capacity = new FairCapacity(10);
  expect(capacity.tryAcquire("a", 1000)).toBe(true);
  expect(capacity.tryAcquire("b", 500)).toBe(true);
  expect(capacity.tryAcquire("b", 1)).toBe(false);
  expect(capacity.tryAcquire("c", 1)).toBe(true);
  capacity.release("b", 500);
  expect(capacity.tryAcquire("b", 1)).toBe(true);
});

const parties = fc.constantFrom("a", "b", "c", "d");
const step = fc.record({ party: parties, cost: fc.integer({ min: 1, max: 60 }), isRelease: fc.boolean() });

test("property: a party is refused only beyond what it leaves free, and all of it is released", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const limit = 100;
      const capacity = new FairCapacity(limit);
      const taken: { readonly party: string; readonly cost: number }[] = [];
      const usedBy = (party: string | null) =>
        taken.reduce((sum, part) => (party === null || part.party === party ? sum + part.cost : sum), 0);
      for (const { party, cost, isRelease } of steps) {
        if (isRelease) {
          const part = taken.shift();
          if (part !== undefined) capacity.release(part.party, part.cost);
          continue;
        }
        const mine = usedBy(party);
        const isAccepted = capacity.tryAcquire(party, cost);
        expect(isAccepted).toBe(mine === 0 || mine + cost <= limit - usedBy(null));
        if (isAccepted) taken.push({ party, cost });
        // The limit and one part of each party.
        expect(usedBy(null)).toBeLessThanOrEqual(limit + 4 * 60);
      }
      for (const { party, cost } of taken) capacity.release(party, cost);
      for (let n = 0; n < limit / 2; n++) expect(capacity.tryAcquire("e", 1)).toBe(true);
    }),
  );
});
