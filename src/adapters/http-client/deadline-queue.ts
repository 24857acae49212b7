import type { Clock, Timer } from "../../ports/clock.ts";

/** Deadline of one poll. `onOver` is called once, at the deadline, and is `null` after the poll. */
export type Deadline = { readonly atMonotonicMs: number; isOver: boolean; onOver: (() => void) | null };
type Link = Deadline & { previous: Link | null; next: Link | null };

/**
 * Queue of deadlines of one length. The oldest deadline is the next one, so one timer serves all. A poll costs an insertion
 * and a removal; with a timer or an abort signal for each, a third fewer polls are possible.
 *
 * The queue is a linked list, and a finished deadline refers to nothing. A `Set` would leave its former tables behind, each
 * with a pointer to the next: once one is old, everything that the later ones ever named is promoted with it, so that every
 * finished poll reaches the old generation.
 */
export class DeadlineQueue {
  readonly #clock: Clock;
  readonly #lengthMs: number;
  /** The deadline that falls due first. */
  #first: Link | null = null;
  #last: Link | null = null;
  #timer: Timer | null = null;

  constructor(clock: Clock, lengthMs: number) {
    this.#clock = clock;
    this.#lengthMs = lengthMs;
  }

  start(): Deadline {
    const atMonotonicMs = this.#clock.monotonicMs() + this.#lengthMs;
    const deadline: Link = { atMonotonicMs, isOver: false, onOver: null, previous: this.#last, next: null };
    if (this.#last === null) this.#first = deadline;
    else this.#last.next = deadline;
    this.#last = deadline;
    this.#timer ??= this.#clock.setTimer(this.#lengthMs, () => this.#fire());
    return deadline;
  }

  finish(deadline: Deadline): void {
    this.#remove(deadline as Link);
    if (this.#first !== null) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #fire(): void {
    this.#timer = null;
    const nowMs = this.#clock.monotonicMs();
    for (let deadline = this.#first; deadline !== null; deadline = this.#first) {
      if (deadline.atMonotonicMs > nowMs) {
        this.#timer = this.#clock.setTimer(deadline.atMonotonicMs - nowMs, () => this.#fire());
        return;
      }
      const { onOver } = deadline;
      this.#remove(deadline);
      deadline.isOver = true;
      onOver?.();
    }
  }

  /** Removes a deadline. Does nothing if it was removed before. */
  #remove(deadline: Link): void {
    const { previous, next } = deadline;
    deadline.onOver = null;
    if (previous === null && this.#first !== deadline) return;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    deadline.previous = null;
    deadline.next = null;
  }
}
