import type { Clock, Timer } from "../../ports/clock.ts";

/** Far below what a timer can hold (24.8 days); who is woken too early sets it again. */
const maxDelayMs = 60 * 60 * 1000;

/** One timer for the earliest of many wishes to be woken: a hundred thousand deliveries that wait are not as many timers. */
export class EarliestTimer {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #timer: { readonly atMonotonicMs: number; readonly timer: Timer } | null = null;
  #isClosed = false;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings in `delayMs` or before, once for all that was asked until then; 0 or less: now. */
  setWithin(delayMs: number): void {
    if (this.#isClosed) return;
    if (delayMs <= 0) {
      this.#ring();
      return;
    }
    const cappedMs = Math.min(Math.max(1, delayMs), maxDelayMs);
    const atMonotonicMs = this.#clock.monotonicMs() + cappedMs;
    if (this.#timer !== null && this.#timer.atMonotonicMs <= atMonotonicMs) return;
    this.#timer?.timer.cancel();
    const timer = this.#clock.setTimer(cappedMs, () => {
      this.#timer = null;
      this.#ring();
    });
    this.#timer = { atMonotonicMs, timer };
  }

  /** Never rings again. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.timer.cancel();
    this.#timer = null;
  }
}
