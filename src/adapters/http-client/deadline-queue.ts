import type { Clock, Timer } from "../../ports/clock.ts";

/** Deadline of one poll. `onOver` is called once, at the deadline. */
export type Deadline = { readonly atMonotonicMs: number; isOver: boolean; onOver: (() => void) | null };

/**
 * Queue of deadlines of one length. The oldest deadline is the next one, so one timer serves all. A poll costs an insertion
 * and a removal; with a timer or an abort signal for each, a third fewer polls are possible.
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
