/** Memory for the bodies of answers under way, over all sources. */
const budgetBytes = 64 * 1024 * 1024;
/** Part of the budget that one source may take, so that a source with large or slow answers does not delay the others. */
const sourceBytes = 16 * 1024 * 1024;

/** Room for the answers of one source. */
export interface AnswerRoom {
  /** Takes room for a body; false if it does not fit now. */
  tryTake(bytes: number): boolean;
  /** Takes room as soon as it fits, and then calls `onTaken` once. Returns a function that gives the wait up. */
  wait(bytes: number, onTaken: () => void): () => void;
  giveBack(bytes: number): void;
}

type Waiting = { readonly room: Room; readonly bytes: number; readonly onTaken: () => void };

/**
 * Budget for the bodies of answers. A body takes its whole length before it is read, so that two bodies never wait for each
 * other. What does not fit waits in order of arrival; a wait for the part of one source holds up no other source.
 */
export class AnswerBudget {
  #freeBytes: number;
  readonly #sourceBytes: number;
  readonly #waiting = new Set<Waiting>();

  constructor(maxBytes = budgetBytes, maxBytesPerSource = sourceBytes) {
    this.#freeBytes = maxBytes;
    this.#sourceBytes = maxBytesPerSource;
  }

  /** Returns the room of a further source. */
  room(): AnswerRoom {
    return new Room(this, this.#sourceBytes);
  }

  tryTake(room: Room, bytes: number): boolean {
    if (bytes > room.freeBytes || bytes > this.#freeBytes) return false;
    room.freeBytes -= bytes;
    this.#freeBytes -= bytes;
    return true;
  }

  wait(waiting: Waiting): () => void {
    this.#waiting.add(waiting);
    return () => {
      if (this.#waiting.delete(waiting)) this.#serve();
    };
  }

  giveBack(room: Room, bytes: number): void {
    room.freeBytes += bytes;
    this.#freeBytes += bytes;
    if (this.#waiting.size > 0) this.#serve();
  }

  /** Gives room to those that wait, in order. Stops at the first that the whole budget cannot hold, so that it comes next. */
  #serve(): void {
    for (const waiting of this.#waiting) {
      const { room, bytes, onTaken } = waiting;
      if (bytes > room.freeBytes) continue;
      if (!this.tryTake(room, bytes)) return;
      this.#waiting.delete(waiting);
      // The caller may be in the middle of another answer.
      queueMicrotask(onTaken);
    }
  }
}

class Room implements AnswerRoom {
  freeBytes: number;
  readonly #budget: AnswerBudget;

  constructor(budget: AnswerBudget, maxBytes: number) {
    this.#budget = budget;
    this.freeBytes = maxBytes;
  }

  tryTake(bytes: number): boolean {
    return this.#budget.tryTake(this, bytes);
  }

  wait(bytes: number, onTaken: () => void): () => void {
    return this.#budget.wait({ room: this, bytes, onTaken });
  }

  giveBack(bytes: number): void {
    this.#budget.giveBack(this, bytes);
  }
}
