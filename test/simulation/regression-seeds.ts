/**
 * Seeds that once broke a promise, and what was wrong. A change of the generator makes other worlds of them: the bug has
 * an ordinary test too, named here.
 */
export const regressionSeeds: readonly { readonly seed: number; readonly cause: string }[] = [
  {
    seed: 499,
    cause: "a grace whose start lay ahead of a clock that was set back before a restart (engine/polling/clock-set-back.test.ts)",
  },
  { seed: 880, cause: "the same, by a larger step" },
];
