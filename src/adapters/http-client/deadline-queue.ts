import type { Clock, Timer } from "../../ports/clock.ts";

/** The time one poll has. `onOver` is called once, when it has run out. */
export type Deadline = { readonly atMonotonicMs: number; isOver: boolean; onOver: (() => void) | null };

/**
 * Deadlines of one length: the first in is the first due, so one timer serves all. It costs an insertion and a removal
 * a poll where a timer or an abort signal each costs a third of the polls.
 */
export class DeadlineQueue {
  readonly #clock: Clock;
  readonly #lengthMs: number;
  /** In the order they fall due. */
  readonly #running = new Set<Deadline>();
  #timer: Timer | null = null;

  constructor(clock: Clock, lengthMs: number) {
    this.#clock = clock;
    this.#lengthMs = lengthMs;
  }

  start(): Deadline {
    const deadline = { atMonotonicMs: this.#clock.monotonicMs() + this.#lengthMs, isOver: false, onOver: null };
    this.#running.add(deadline);
    this.#timer ??= this.#clock.setTimer(this.#lengthMs, () => this.#fire());
    return deadline;
  }

  finish(deadline: Deadline): void {
    this.#running.delete(deadline);
    if (this.#running.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #fire(): void {
    this.#timer = null;
    const nowMs = this.#clock.monotonicMs();
    for (const deadline of this.#running) {
      if (deadline.atMonotonicMs > nowMs) {
        this.#timer = this.#clock.setTimer(deadline.atMonotonicMs - nowMs, () => this.#fire());
        return;
      }
      this.#running.delete(deadline);
      deadline.isOver = true;
      deadline.onOver?.();
    }
  }
}
