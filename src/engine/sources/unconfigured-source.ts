import { PolledSource } from "./polled-source.ts";
import type { PollableCall, SourceSetup, SourceDependencies } from "./polled-source.ts";

/**
 * Stands for a source that calls name and nobody configured (any more): as if it were suspended, with no probe to end
 * that. So the deadlines of its calls are kept, and they are there when the source is.
 */
export function createUnconfiguredSource<Call extends PollableCall>(name: string, dependencies: SourceDependencies): PolledSource<Call> {
  const source = new PolledSource<Call>(setupOf(name), dependencies);
  source.isUnconfigured = true;
  source.gate.adoptSuspension({ reason: "misconfigured", sinceMs: dependencies.clock.nowMs() });
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
      corroborationMs: 0,
      uncorroboratedEndMs: 0,
    },
  };
}
