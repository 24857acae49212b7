import type { Clock, Timer } from "../../../ports/clock.ts";

/**
 * The database's wall clock, so that all instances agree on what is due: the offset to the machine's monotonic clock is
 * measured with every statement that tells the time there. An answer proves it to half of its round trip; the offset
 * moves no further than it is proven wrong, so a slow answer makes it no worse.
 */
export class DatabaseClock implements Clock {
  readonly #machine: Clock;
  /** Database time less monotonic time. */
  #offsetMs: number;

  constructor(machine: Clock) {
    this.#machine = machine;
    this.#offsetMs = machine.nowMs() - machine.monotonicMs();
  }

  nowMs(): number {
    return Math.floor(this.#machine.monotonicMs() + this.#offsetMs);
  }

  monotonicMs(): number {
    return this.#machine.monotonicMs();
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    return this.#machine.setTimer(delayMs, fire);
  }

  /** A statement sent then, and answered now, saw this time (epoch ms) there. */
  note(databaseMs: number, sentAtMonotonicMs: number): void {
    const latestMs = databaseMs - sentAtMonotonicMs;
    const earliestMs = databaseMs - this.#machine.monotonicMs();
    this.#offsetMs = Math.min(Math.max(this.#offsetMs, earliestMs), latestMs);
  }
}
