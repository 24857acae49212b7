/** An entry of a source's poll queue. */
export type QueuedPoll = {
  readonly accountId: string;
  /** Whether this process has never polled the call; first polls go ahead of repeats. */
  isFirstPoll: boolean;
  /** False once the entry was taken or removed; its place in the queue is then skipped. */
  isQueued: boolean;
};

/**
 * Poll queue of one source. First polls and repeats wait separately; within each, accounts take turns and each account's
 * calls keep their order. Removal only marks an entry, in constant time; marked entries are skipped later.
 */
export class FairPollQueue<Entry extends QueuedPoll> {
  readonly #firsts = new RoundRobinQueue<Entry>();
  readonly #repeats = new RoundRobinQueue<Entry>();

  get size(): number {
    return this.#firsts.size + this.#repeats.size;
  }

  get repeatCount(): number {
    return this.#repeats.size;
  }

  add(entry: Entry): void {
    if (entry.isQueued) return;
    entry.isQueued = true;
    this.#queueOf(entry).add(entry);
  }

  remove(entry: Entry): void {
    if (!entry.isQueued) return;
    entry.isQueued = false;
    this.#queueOf(entry).remove(entry);
  }

  nextFirst(): Entry | null {
    return this.#firsts.take();
  }

  nextRepeat(): Entry | null {
    return this.#repeats.take();
  }

  *entries(): Generator<Entry> {
    for (const queue of [this.#firsts, this.#repeats]) for (const entries of queue.byAccount()) yield* entries;
  }

  /** Yields the oldest entry of each account's first polls and repeats. */
  *heads(): Generator<Entry> {
    for (const queue of [this.#firsts, this.#repeats])
      for (const entries of queue.byAccount()) {
        const { value } = entries.next();
        if (value !== undefined) yield value as Entry;
      }
  }

  #queueOf({ isFirstPoll }: Entry): RoundRobinQueue<Entry> {
    return isFirstPoll ? this.#firsts : this.#repeats;
  }
}

/** One queue per account, served in turn, so that a thousand calls of one account delay another account by one turn. */
class RoundRobinQueue<Entry extends QueuedPoll> {
  readonly #fifoByAccount = new Map<string, Fifo<Entry>>();
  /** Number of places to skip for each removed entry. An entry that was added again stands behind these places. */
  readonly #skips = new Map<Entry, number>();
  /** Number of entries, removed ones excluded. */
  size = 0;

  add(entry: Entry): void {
    const fifo = this.#fifoByAccount.get(entry.accountId) ?? new Fifo<Entry>();
    if (fifo.size === 0) this.#fifoByAccount.set(entry.accountId, fifo);
    fifo.push(entry);
    this.size += 1;
  }

  remove(entry: Entry): void {
    this.#skips.set(entry, (this.#skips.get(entry) ?? 0) + 1);
    this.size -= 1;
  }

  take(): Entry | null {
    for (const [accountId, fifo] of this.#fifoByAccount) {
      const entry = this.#nextOf(fifo);
      // A map keeps insertion order, so the served account moves to the end. A lone account stays, because a map that is
      // written for every poll leaves its former tables to the old generation.
      if (fifo.size === 0 || this.#fifoByAccount.size > 1) this.#fifoByAccount.delete(accountId);
      if (fifo.size > 0) this.#fifoByAccount.set(accountId, fifo);
      if (entry === null) continue;
      this.size -= 1;
      return entry;
    }
    return null;
  }

  *byAccount(): Generator<Generator<Entry>> {
    for (const fifo of this.#fifoByAccount.values()) yield this.#queuedIn(fifo);
  }

  *#queuedIn(fifo: Fifo<Entry>): Generator<Entry> {
    const skips = new Map(this.#skips);
    for (const entry of fifo.entries()) if (!skip(skips, entry) && entry.isQueued) yield entry;
  }

  #nextOf(fifo: Fifo<Entry>): Entry | null {
    for (let entry = fifo.shift(); entry !== null; entry = fifo.shift())
      if (!skip(this.#skips, entry)) {
        entry.isQueued = false;
        return entry;
      }
    return null;
  }
}

/** Returns whether the entry's next place is to be skipped, and counts that skip. */
function skip<Entry>(skips: Map<Entry, number>, entry: Entry): boolean {
  const count = skips.get(entry);
  if (count === undefined) return false;
  if (count === 1) skips.delete(entry);
  else skips.set(entry, count - 1);
  return true;
}

/** Queue as an array with a moving head, because `Array.shift` copies long arrays. */
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
