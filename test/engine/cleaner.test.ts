import { expect, test } from "vitest";
import { Cleaner } from "../../src/engine/cleaner.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** So much to delete, in batches of ten. */
function cleanerOf(total: number) {
  const clock = new FakeClock();
  const requests: object[] = [];
  let left = total;
  const store = {
    async deleteExpired(request: { limit: number }) {
      requests.push(request);
      const deleted = Math.min(left, request.limit);
      left -= deleted;
      return { deleted, more: deleted === request.limit };
    },
  };
  return { cleaner: new Cleaner({ store, clock, retentionDays: 30, batchSize: 10 }), clock, requests, left: () => left };
}

test("goes on batch by batch while there is more", async () => {
  const { cleaner, clock, requests, left } = cleanerOf(45);
  await cleaner.tick();
  expect(left()).toBe(0);
  const nowMs = clock.nowMs();
  expect(requests).toEqual(Array.from({ length: 5 }, () => ({ beforeMs: nowMs - 30 * 86_400_000, nowMs, limit: 10 })));
});

test("leaves the rest to the next round", async () => {
  const { cleaner, left } = cleanerOf(1_000_000);
  await cleaner.tick();
  expect(left()).toBe(1_000_000 - 500);
  await cleaner.tick();
  expect(left()).toBe(1_000_000 - 1000);
});
