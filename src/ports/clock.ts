/** Handle of a timer; `cancel` may be called more than once. */
export interface Timer {
  cancel(): void;
}

/**
 * Source of time. Durations, timeouts and leases use `monotonicMs`; `nowMs` is stored and shown. The two diverge when the
 * wall clock is set. That must neither lose work nor cause a burst of work.
 */
export interface Clock {
  /** Wall time in epoch milliseconds. */
  nowMs(): number;
  /** Milliseconds since a fixed instant, possibly with a fraction; never decreases. */
  monotonicMs(): number;
  /** Calls `fire` once after `delayMs`; 0 or less means as soon as possible. Does not keep the process alive. */
  setTimer(delayMs: number, fire: () => void): Timer;
  /** Calls `run` once, after what the event loop has ready. Keeps the process alive until then. */
  nextTurn(run: () => void): void;
}
