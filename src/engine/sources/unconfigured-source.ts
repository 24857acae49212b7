import { PolledSource } from "./polled-source.ts";
import type { SourceSetup, SourceSurroundings } from "./polled-source.ts";

/**
 * Stands for a source that calls name and nobody configured (any more): as if it were suspended, with no probe to end
 * that. So the deadlines of its calls are kept, and they are there when the source is.
 */
export function createAbsentSource(name: string, surroundings: SourceSurroundings): PolledSource {
  const source = new PolledSource(setupOf(name), surroundings);
  source.isAbsent = true;
  source.gate.adoptSuspension({ reason: "misconfigured", sinceMs: surroundings.clock.nowMs() });
  source.gate.setMayProbe(false);
  return source;
}

/** Nothing of it is ever used but the name and the interval, in which its calls queue up; its rate refuses no registration. */
function setupOf(name: string): SourceSetup {
  return {
    source: { id: "src_absent", name, kind: "polyai-legacy", maxPollsPerSecond: 100 },
    callSource: {
      poll: () => Promise.reject(new Error(`the source ${name} is not configured`)),
      close: () => Promise.resolve(),
    },
    intervalMinMs: 2000,
    intervalMaxMs: 2000,
    policy: {
      notFoundGraceMs: 0,
      lostAfterMs: 0,
      statusRetentionMs: 0,
      backoffMinMs: 2000,
      backoffMaxMs: 2000,
      witnessMs: 0,
      unwitnessedEndMs: 0,
    },
  };
}
