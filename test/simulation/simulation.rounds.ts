import { expect, test } from "vitest";
import { failuresOf, fixedSeeds, quiet } from "./fixed-seeds.ts";
import { regressionSeeds } from "./regression-seeds.ts";

test(
  "a fixed set of seeds and those that once failed keep every promise, and each of the set is the same run twice, byte for byte",
  { timeout: 120_000 },
  async () => {
    const twice = fixedSeeds.map(([seed]) => seed);
    const seeds = [...twice, ...regressionSeeds.map(({ seed }) => seed)];
    expect(await failuresOf({ ...quiet, plant: null, seeds: [...new Set(seeds)], twice })).toEqual([]);
  },
);
