import { describe, expect, test } from "vitest";
import { stormEndpoint, stormGone } from "./mark-storm.ts";

const sizes = { watches: 200_000, deliveries: 300_000, kills: 3 };

describe.each(["sqlite-file", "postgres"] as const)("killed in the middle of work on many rows (%s)", (database) => {
  test("200,000 watches on a URL that answers 410", async () => {
    const figures = await stormGone(database, sizes);
    process.stdout.write(`${JSON.stringify(figures)}\n`);
    expect(figures["killsInside"]).toBe(3);
  });

  test("300,000 pending deliveries are disabled, enabled and recovered", async () => {
    const figures = await stormEndpoint(database, sizes);
    process.stdout.write(`${JSON.stringify(figures)}\n`);
    expect(figures["killsInside"]).toEqual([3, 3]);
  });
});
