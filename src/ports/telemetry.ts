/** Structured log. Fields never contain a key, secret, header value, metadata, body, query string or callback path. */
export interface Logger {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** Metrics of the engine. Labels are closed sets (no SID, URL, id or account); durations are in milliseconds. */
export interface Metrics {
  /**
   * Counts a poll. `lagMs` is the time from its due time to its sending; `outcome` is `unchanged`, `transition`,
   * `not_found`, `rejected`, `unauthorized`, `rate_limited` or a failure code.
   */
  pollFinished(outcome: string, lagMs: number): void;
  /** Counts an answer whose status is in no status map. */
  unknownStatus(source: string): void;
  /** Counts an intent to place a call that has ended, by its outcome (`placed`, `unknown`, `refused` …). */
  placingFinished(outcome: string): void;
  pollInterval(source: string, intervalMs: number): void;
  /** Sets the expected time from a change to the poll that observes it, under the schedule in force (`learned`) and if all calls were polled alike. */
  detectionDelay(source: string, schedule: "learned" | "even", delayMs: number): void;
  /** Sets the state of a source; `removed` is none of the states. */
  sourceState(source: string, state: string): void;
  eventCommitted(type: string): void;
  attemptFinished(outcome: string): void;
  /** Counts a delivery. `latencyMs` is the time from the observation to the 2xx. */
  delivered(latencyMs: number): void;
  endpointDisabled(reason: string): void;
  addressBlocked(): void;
  committed(durationMs: number): void;
  /** Sets the clock skew of a source. `skewMs` is the time of this machine minus that of the upstream. */
  clockSkew(source: string, skewMs: number): void;
  wallClockStepped(): void;
  /** A counter of the store differed from the rows that it counts. */
  counterCorrected(): void;
  httpAnswered(route: string, status: number, durationMs: number): void;
}
