/** What waits for its turn at a source. */
export type Queued = {
  readonly accountId: string;
  /** Never polled in this process: goes ahead of repeats. */
  isFirstPoll: boolean;
  /** It was taken out before its turn (its place is skipped). */
  isQueued: boolean;
};

/**
 * Who is polled next: first polls in the order they came, repeats oldest due first with the accounts taking turns.
 * Removal is a mark, so that it costs nothing; marked entries are passed over when their turn comes.
 */
export class SourceQueue<Entry extends Queued> {
  readonly #firsts = new Fifo<Entry>();
  readonly #repeats = new Map<string, Fifo<Entry>>();
  #repeatCount = 0;
  #firstCount = 0;

  get size(): number {
    return this.#firstCount + this.#repeatCount;
  }

  get repeatCount(): number {
    return this.#repeatCount;
  }

  add(entry: Entry): void {
    if (entry.isQueued) return;
    entry.isQueued = true;
    if (entry.isFirstPoll) {
      this.#firsts.push(entry);
      this.#firstCount += 1;
      return;
    }
    const fifo = this.#repeats.get(entry.accountId) ?? new Fifo<Entry>();
    if (fifo.size === 0) this.#repeats.set(entry.accountId, fifo);
    fifo.push(entry);
    this.#repeatCount += 1;
  }

  remove(entry: Entry): void {
    if (!entry.isQueued) return;
    entry.isQueued = false;
    if (entry.isFirstPoll) this.#firstCount -= 1;
    else this.#repeatCount -= 1;
  }

  takeFirst(): Entry | null {
    const entry = this.#next(this.#firsts);
    if (entry !== null) this.#firstCount -= 1;
    return entry;
  }

  takeRepeat(): Entry | null {
    for (const [accountId, fifo] of this.#repeats) {
      // A map keeps the order of insertion: whoever was served goes to the end.
      this.#repeats.delete(accountId);
      const entry = this.#next(fifo);
      if (fifo.size > 0) this.#repeats.set(accountId, fifo);
      if (entry === null) continue;
      this.#repeatCount -= 1;
      return entry;
    }
    return null;
  }

  *entries(): Generator<Entry> {
    for (const fifo of [this.#firsts, ...this.#repeats.values()]) for (const entry of fifo.entries()) if (entry.isQueued) yield entry;
  }

  /** Who waits longest of the first polls and of each account. */
  *heads(): Generator<Entry> {
    for (const fifo of [this.#firsts, ...this.#repeats.values()])
      for (const entry of fifo.entries())
        if (entry.isQueued) {
          yield entry;
          break;
        }
  }

  #next(fifo: Fifo<Entry>): Entry | null {
    for (let entry = fifo.shift(); entry !== null; entry = fifo.shift())
      if (entry.isQueued) {
        entry.isQueued = false;
        return entry;
      }
    return null;
  }
}

/** An array with a moving head: shifting from a long array would copy it each time. */
class Fifo<T> {
  #items: T[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | null {
    if (this.size === 0) return null;
    const item = this.#items[this.#head] as T;
    this.#head += 1;
    if (this.size === 0) this.#clear();
    else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  #clear(): void {
    this.#items = [];
    this.#head = 0;
  }

  *entries(): Generator<T> {
    for (let index = this.#head; index < this.#items.length; index++) yield this.#items[index] as T;
  }
}
