/**
 * Seeds that once broke a promise, and what was wrong. A change of the generators makes other worlds of them: each bug has an
 * ordinary test too, named here.
 */
export const regressionSeeds: readonly { readonly seed: number; readonly cause: string }[] = [
  {
    seed: 640,
    cause: "a grace whose start lay ahead of a clock that was set back before a restart (engine/polling/clock-set-back.test.ts)",
  },
  { seed: 1851, cause: "a transition that waited for a database that was away kept its timer over a stop" },
  { seed: 937, cause: "the same, brought back by another registration of the call" },
  {
    seed: 3402,
    cause:
      "a second hook of a URL, made after the first watch of a call, was sent the call's end of the second watch: each hook once, not each URL",
  },
  {
    seed: 5592,
    cause: "a retry that could not start, for lack of file descriptors, was tried again in a second, and held against the schedule",
  },
  { seed: 11545, cause: "the same for an endpoint that its owner had paused" },
];
