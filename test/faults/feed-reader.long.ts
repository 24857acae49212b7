import { expect, test } from "vitest";
import { Random } from "../simulation/random.ts";
import { stormReaders } from "./feed-reader-storm.ts";

const kills = 500;

test.each(["sqlite-file", "postgres"] as const)(
  "a reader of the feed is killed 500 times (%s)",
  { timeout: 3_600_000 },
  async (database) => {
    const figures = await stormReaders(database, kills, new Random(Date.now()));
    process.stdout.write(`${database}: ${JSON.stringify(figures)}\n`);
    expect(figures.livesWithEffects).toBeGreaterThan(kills / 3);
  },
);
