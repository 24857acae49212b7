import { expect, test } from "vitest";
import { fuzz } from "./fuzz.ts";

test("1,000 requests as clients should not send them: no 5xx, nothing undocumented, nothing kept", { timeout: 120_000 }, async () => {
  const { statuses, heapBytes } = await fuzz({ requests: 1000, seed: 20_261_124 });
  // All of it is reached: accepted, refused for every reason, replayed.
  for (const status of [200, 201, 204, 400, 401, 404, 405, 409, 415, 422])
    expect([status, (statuses[status] ?? 0) > 0]).toEqual([status, true]);
  expect(heapBytes.late - heapBytes.early).toBeLessThan(16 * 1024 * 1024);
});
