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
  { seed: 742, cause: "a hook was sent a status again by a watch that came after the others were lost" },
  { seed: 3799, cause: "a target that could not be read, because the database was away, was logged as an error of ours" },
  { seed: 11545, cause: "the same for an endpoint that its owner had paused" },
  { seed: 3612, cause: "a webhook had the time at which its account's key was asked for (engine/delivery/dispatcher.test.ts)" },
  { seed: 74, cause: "a trigger that waited for its turn kept its timers over a stop (engine/sources/trigger-turns.test.ts)" },
  { seed: 1, cause: "an unknown placing that two people resolved at a time was settled for both (e2e/placing.test.ts)" },
  { seed: 11532, cause: "a call that waited for the rest of its transition was polled in a pause that a 429 had begun meanwhile" },
  { seed: 11322, cause: "a loop of 20 s that the database had refused waited 40 s more, and a placing was called unknown too late" },
  { seed: 2105, cause: "a placing repeated a commit that a closed store refused, with a timer, after a stop" },
];
