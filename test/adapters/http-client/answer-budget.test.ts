import fc from "fast-check";
import { expect, test } from "vitest";
import { AnswerBudget } from "../../../src/adapters/http-client/answer-budget.ts";

test("what does not fit waits its turn, and no other source waits for the part of one", async () => {
  const budget = new AnswerBudget(100, 60);
  const [large, small] = [budget.room(), budget.room()];
  const taken: string[] = [];
  expect(large.tryTake(60)).toBe(true);
  expect(large.tryTake(1)).toBe(false);
  large.wait(50, () => taken.push("large"));
  expect(small.tryTake(40)).toBe(true);
  expect(small.tryTake(1)).toBe(false);
  small.wait(10, () => taken.push("small"));
  small.giveBack(10);
  await Promise.resolve();
  expect(taken).toEqual(["small"]);
  large.giveBack(60);
  await Promise.resolve();
  expect(taken).toEqual(["small", "large"]);
});

test("the budget and the part of each source hold, and everything that waits is served or given up", async () => {
  const steps = fc.array(fc.record({ room: fc.nat(2), bytes: fc.integer({ min: 1, max: 60 }), gives: fc.boolean() }), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const budget = new AnswerBudget(100, 60);
      const rooms = [budget.room(), budget.room(), budget.room()];
      const held: { readonly room: number; readonly bytes: number }[] = [];
      let waiting = 0;
      const check = () => {
        expect(held.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(100);
        for (const index of rooms.keys())
          expect(held.filter(({ room }) => room === index).reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(60);
      };
      const giveBack = async () => {
        const [first] = held.splice(0, 1);
        if (first !== undefined) rooms[first.room]?.giveBack(first.bytes);
        await Promise.resolve();
        check();
      };
      for (const { room, bytes, gives } of sequence) {
        if (gives) await giveBack();
        else if (rooms[room]?.tryTake(bytes) === true) held.push({ room, bytes });
        else {
          waiting += 1;
          rooms[room]?.wait(bytes, () => {
            waiting -= 1;
            held.push({ room, bytes });
          });
        }
        check();
      }
      while (held.length > 0) await giveBack();
      expect(waiting).toBe(0);
    }),
  );
});
