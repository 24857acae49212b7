import type { Clock, Timer } from "../../ports/clock.ts";

/** Longest delay of one timer, far below the maximum of Node (24.8 days). A caller that is woken too early sets the timer again. */
const maxDelayMs = 60 * 60 * 1000;

/** One timer for the earliest of many deadlines, so that a hundred thousand waiting deliveries need no timers of their own. */
export class EarliestTimer {
  readonly #clock: Clock;
  readonly #fire: () => void;
  #timer: { readonly atMonotonicMs: number; readonly timer: Timer } | null = null;
  #isClosed = false;

  constructor(clock: Clock, fire: () => void) {
    this.#clock = clock;
    this.#fire = fire;
  }

  /** Fires within `delayMs`, once for all deadlines set until then; immediately if `delayMs` is 0 or less. */
  setWithin(delayMs: number): void {
    if (this.#isClosed) return;
    if (delayMs <= 0) {
      this.#fire();
      return;
    }
    const cappedMs = Math.min(Math.max(1, delayMs), maxDelayMs);
    const atMonotonicMs = this.#clock.monotonicMs() + cappedMs;
    if (this.#timer !== null && this.#timer.atMonotonicMs <= atMonotonicMs) return;
    this.#timer?.timer.cancel();
    const timer = this.#clock.setTimer(cappedMs, () => {
      this.#timer = null;
      this.#fire();
    });
    this.#timer = { atMonotonicMs, timer };
  }

  /** Cancels the timer for good. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.timer.cancel();
    this.#timer = null;
  }
}
