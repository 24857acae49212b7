import { describe, expect, test } from "vitest";
import { stormEndpoint, stormGone } from "./mark-storm.ts";

const sizes = { watches: 2000, deliveries: 3000, kills: 1 };

describe.each(["sqlite-file", "postgres"] as const)("killed in the middle of work on many rows (%s)", (database) => {
  test("2,000 watches on a URL that answers 410 all end, and nothing is left", { timeout: 120_000 }, async () => {
    expect(await stormGone(database, sizes)).toMatchObject({ watches: 2000 });
  });

  test("3,000 pending deliveries are disabled, enabled and recovered", { timeout: 180_000 }, async () => {
    expect(await stormEndpoint(database, sizes)).toMatchObject({ deliveries: 3000 });
  });
});
