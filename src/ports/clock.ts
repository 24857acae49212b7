/** A handle of a timer; `cancel` may be called any number of times. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as the engine sees it. Durations, timeouts and leases are measured on `monotonicMs`; `nowMs` is what is stored and
 * shown. The two drift apart when somebody sets the clock, which must neither lose nor storm.
 */
export interface Clock {
  /** Wall time, epoch milliseconds. */
  nowMs(): number;
  /** Milliseconds since some fixed instant; never goes back. May have a fraction. */
  monotonicMs(): number;
  /** Calls `fire` once after `delayMs` (0 or less: as soon as possible). Does not keep the process alive. */
  setTimer(delayMs: number, fire: () => void): Timer;
}
