import fc from "fast-check";
import { expect, test } from "vitest";
import { SlotSet } from "../../src/domain/slot-set.ts";

test("a slot set has the entries of a set after every step", () => {
  const step = fc.record({ name: fc.nat(9), adds: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const entries = Array.from({ length: 10 }, (_, name) => ({ name, slot: -1 }));
      const [slots, model] = [new SlotSet<(typeof entries)[number]>(), new Set<unknown>()];
      for (const { name, adds } of steps) {
        const entry = entries[name];
        if (entry === undefined) continue;
        if (!adds) expect(slots.delete(entry)).toBe(model.delete(entry));
        else if (!model.has(entry)) {
          slots.add(entry);
          model.add(entry);
        }
        expect(slots.size).toBe(model.size);
        expect(new Set(slots)).toEqual(model);
        for (const { slot } of entries.filter((other) => !model.has(other))) expect(slot).toBe(-1);
      }
    }),
  );
});

test("a loop over a slot set that deletes some entries sees every one once", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 20 }), (deleted) => {
      const slots = new SlotSet<{ readonly isDeleted: boolean; slot: number }>();
      for (const isDeleted of deleted) slots.add({ isDeleted, slot: -1 });
      let seen = 0;
      for (const entry of slots) {
        seen += 1;
        if (entry.isDeleted) slots.delete(entry);
      }
      expect(seen).toBe(deleted.length);
      expect([...slots].every(({ isDeleted }) => !isDeleted)).toBe(true);
    }),
  );
});
