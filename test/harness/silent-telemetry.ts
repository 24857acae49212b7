import type { Logger, Metrics } from "../../src/ports/telemetry.ts";

const nothing = (): void => undefined;

export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

export const silentMetrics: Metrics = {
  pollFinished: nothing,
  unknownStatus: nothing,
  placingFinished: () => undefined,
  pollInterval: nothing,
  detectionDelay: nothing,
  sourceState: nothing,
  eventCommitted: nothing,
  attemptFinished: nothing,
  delivered: nothing,
  endpointDisabled: nothing,
  addressBlocked: nothing,
  committed: nothing,
  clockSkew: nothing,
  wallClockStepped: nothing,
  counterCorrected: nothing,
  httpAnswered: nothing,
};
