import { PolledSource } from "./polled-source.ts";
import type { PollableCall, SourceSetup, SourceDependencies } from "./polled-source.ts";

/**
 * Creates the stand-in (null object) for a source that calls name and that is not configured: a suspended source without
 * probes. Its calls keep their deadlines, and are polled once the source is configured.
 */
export function createUnconfiguredSource<Call extends PollableCall>(name: string, dependencies: SourceDependencies): PolledSource<Call> {
  const source = new PolledSource<Call>(standInSetup(name), dependencies);
  source.isUnconfigured = true;
  source.gate.adoptSuspension({ reason: "misconfigured", sinceMs: dependencies.clock.nowMs() });
  source.gate.setMayProbe(false);
  return source;
}

/** Only the name and the interval are ever used; the rate never refuses a registration. */
function standInSetup(name: string): SourceSetup {
  return {
    source: { id: "src_absent", name, kind: "unconfigured", maxPollsPerSecond: 100 },
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
