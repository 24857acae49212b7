import type { Clock, Timer } from "../../../ports/clock.ts";

/**
 * The database's wall clock, so that all instances agree on due times. Measures the offset to the machine's monotonic clock
 * with every statement that returns the database's time. Each answer bounds the offset within its round trip, and the offset
 * moves only as far as these bounds require, so that a slow answer cannot make it worse.
 */
export class DatabaseClock implements Clock {
  readonly #machine: Clock;
  /** Database time minus monotonic time. */
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

  nextTurn(run: () => void): void {
    this.#machine.nextTurn(run);
  }

  /** Records the database time (epoch ms) that a statement returned; the statement was sent at `sentAtMonotonicMs` and has just been answered. */
  recordDatabaseTime(databaseMs: number, sentAtMonotonicMs: number): void {
    const latestMs = databaseMs - sentAtMonotonicMs;
    const earliestMs = databaseMs - this.#machine.monotonicMs();
    this.#offsetMs = Math.min(Math.max(this.#offsetMs, earliestMs), latestMs);
  }
}
