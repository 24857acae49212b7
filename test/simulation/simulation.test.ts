import { expect, test } from "vitest";
import { plants } from "./plants.ts";
import { regressionSeeds } from "./regression-seeds.ts";
import { simulate } from "./simulate.ts";

const quiet = { workers: 2, keepsGoing: true, shrinks: false, write: () => undefined };

/** Seed and promise of those that failed; `npm run test:simulate -- --seeds 1 --from <seed>` shrinks one and shows its timeline. */
async function failuresOf(options: Parameters<typeof simulate>[0]): Promise<readonly string[]> {
  const { failures } = await simulate(options);
  return failures.map(({ seed, rule, detail }) => `seed ${seed}: ${rule}: ${detail}`);
}

test("a fixed set of seeds keeps every promise, and each is the same run twice, byte for byte", { timeout: 120_000 }, async () => {
  expect(await failuresOf({ ...quiet, plant: null, from: 1, seeds: 24, twice: true })).toEqual([]);
});

test("seeds that once failed do not fail again", { timeout: 60_000 }, async () => {
  for (const { seed, cause } of regressionSeeds)
    expect([cause, await failuresOf({ ...quiet, workers: 1, plant: null, from: seed, seeds: 1 })]).toEqual([cause, []]);
});

test("a bug that is planted is found", { timeout: 120_000 }, async () => {
  const plant = plants.find(({ name }) => name === "retry-with-a-new-id");
  const { failures, plantEffects } = await simulate({ ...quiet, keepsGoing: false, plant: plant?.name ?? "", from: 1, seeds: 200 });
  expect(failures.length).toBeGreaterThan(0);
  expect(plantEffects).toBeGreaterThan(0);
});
