/**
 * Seeds that once broke a promise, and what was wrong. A change of the generators makes other worlds of them: each bug has an
 * ordinary test too, named here.
 */
export const regressionSeeds: readonly { readonly seed: number; readonly cause: string }[] = [
  {
    seed: 640,
    cause: "a grace whose start lay ahead of a clock that was set back before a restart (engine/polling/clock-set-back.test.ts)",
  },
  { seed: 937, cause: "the same, brought back by another registration of the call" },
];
