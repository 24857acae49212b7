import { expect, test } from "vitest";
import { failuresOf, fixedSeeds, quiet } from "./fixed-seeds.ts";
import { plants } from "./plants.ts";
import { simulate } from "./simulate.ts";

/** A file, several instances on one database, and memory alone. */
const twice = [1, 3, 8];

test(
  "a fixed set of seeds keeps every promise, and a run of each store is the same twice, byte for byte",
  { timeout: 120_000 },
  async () => {
    const seeds = fixedSeeds.map(([seed]) => seed);
    expect(seeds).toEqual(expect.arrayContaining(twice));
    expect(await failuresOf({ ...quiet, plant: null, seeds, twice })).toEqual([]);
  },
);

test("a bug that is planted is found", { timeout: 120_000 }, async () => {
  const plant = plants.find(({ name }) => name === "retry-with-a-new-id");
  const seeds = Array.from({ length: 200 }, (_, index) => index + 1);
  const { failures, plantEffects } = await simulate({ ...quiet, workers: 1, keepsGoing: false, plant: plant?.name ?? "", seeds });
  expect(failures.length).toBeGreaterThan(0);
  expect(plantEffects).toBeGreaterThan(0);
});
