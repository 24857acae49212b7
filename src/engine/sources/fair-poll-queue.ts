/** What waits for its turn at a source. */
export type QueuedPoll = {
  readonly accountId: string;
  /** Never polled in this process: goes ahead of repeats. */
  isFirstPoll: boolean;
  /** It was taken out before its turn (its place is skipped). */
  isQueued: boolean;
};

/**
 * Who is polled next: first polls and repeats apart, each with its accounts taking turns and every account's oldest due
 * first. Removal is a mark, so that it costs nothing; marked entries are passed over when their turn comes.
 */
export class FairPollQueue<Entry extends QueuedPoll> {
  readonly #firsts = new AccountTurns<Entry>();
  readonly #repeats = new AccountTurns<Entry>();

  get size(): number {
    return this.#firsts.size + this.#repeats.size;
  }

  get repeatCount(): number {
    return this.#repeats.size;
  }

  add(entry: Entry): void {
    if (entry.isQueued) return;
    entry.isQueued = true;
    this.#turnsOf(entry).add(entry);
  }

  remove(entry: Entry): void {
    if (!entry.isQueued) return;
    entry.isQueued = false;
    this.#turnsOf(entry).remove(entry);
  }

  nextFirst(): Entry | null {
    return this.#firsts.take();
  }

  nextRepeat(): Entry | null {
    return this.#repeats.take();
  }

  *entries(): Generator<Entry> {
    for (const turns of [this.#firsts, this.#repeats]) for (const entries of turns.byAccount()) yield* entries;
  }

  /** Who waits longest of each account's first polls and repeats. */
  *heads(): Generator<Entry> {
    for (const turns of [this.#firsts, this.#repeats])
      for (const entries of turns.byAccount()) {
        const { value } = entries.next();
        if (value !== undefined) yield value as Entry;
      }
  }

  #turnsOf({ isFirstPoll }: Entry): AccountTurns<Entry> {
    return isFirstPoll ? this.#firsts : this.#repeats;
  }
}

/** A queue for each account, whose turns go round: a thousand calls of one are one turn less for another. */
class AccountTurns<Entry extends QueuedPoll> {
  readonly #fifoByAccount = new Map<string, Fifo<Entry>>();
  /** How many places of an entry that was taken out are still to be passed over; one it took since stands behind them. */
  readonly #vacated = new Map<Entry, number>();
  /** Of those that were not taken out. */
  size = 0;

  add(entry: Entry): void {
    const fifo = this.#fifoByAccount.get(entry.accountId) ?? new Fifo<Entry>();
    if (fifo.size === 0) this.#fifoByAccount.set(entry.accountId, fifo);
    fifo.push(entry);
    this.size += 1;
  }

  remove(entry: Entry): void {
    this.#vacated.set(entry, (this.#vacated.get(entry) ?? 0) + 1);
    this.size -= 1;
  }

  take(): Entry | null {
    for (const [accountId, fifo] of this.#fifoByAccount) {
      // A map keeps the order of insertion: whoever was served goes to the end.
      this.#fifoByAccount.delete(accountId);
      const entry = this.#nextOf(fifo);
      if (fifo.size > 0) this.#fifoByAccount.set(accountId, fifo);
      if (entry === null) continue;
      this.size -= 1;
      return entry;
    }
    return null;
  }

  *byAccount(): Generator<Generator<Entry>> {
    for (const fifo of this.#fifoByAccount.values()) yield this.#standingIn(fifo);
  }

  *#standingIn(fifo: Fifo<Entry>): Generator<Entry> {
    const vacated = new Map(this.#vacated);
    for (const entry of fifo.entries()) if (!passesOver(vacated, entry) && entry.isQueued) yield entry;
  }

  #nextOf(fifo: Fifo<Entry>): Entry | null {
    for (let entry = fifo.shift(); entry !== null; entry = fifo.shift())
      if (!passesOver(this.#vacated, entry)) {
        entry.isQueued = false;
        return entry;
      }
    return null;
  }
}

/** Whether this is a place that was given up; then there is one less of them. */
function passesOver<Entry>(vacated: Map<Entry, number>, entry: Entry): boolean {
  const count = vacated.get(entry);
  if (count === undefined) return false;
  if (count === 1) vacated.delete(entry);
  else vacated.set(entry, count - 1);
  return true;
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
