/** An entry of a source's poll queue. */
export type QueuedPoll = {
  readonly dueAtMonotonicMs: number;
  readonly accountId: string;
  /** Whether this process has never polled the call; first polls go ahead of repeats. */
  isFirstPoll: boolean;
  /** Whether a poll of the call was ever answered with a status; such a call is preferred as a probe. */
  readonly hasAnswered: boolean;
  /** False once the entry was taken or removed; its place in the queue is then skipped. */
  isQueued: boolean;
  /** Place in the order of all entries of the queue; written by the queue. */
  queuedOrder: number;
};

/**
 * Poll queue of one source. First polls and repeats wait separately; within each, accounts take turns and each account's
 * calls keep their order. Removal only marks an entry, in constant time; marked entries are skipped later.
 */
export class FairPollQueue<Entry extends QueuedPoll> {
  readonly #firsts = new RoundRobinQueue<Entry>();
  readonly #repeats = new RoundRobinQueue<Entry>();
  #order = 0;

  get size(): number {
    return this.#firsts.size + this.#repeats.size;
  }

  get repeatCount(): number {
    return this.#repeats.size;
  }

  add(entry: Entry): void {
    if (entry.isQueued) return;
    entry.isQueued = true;
    entry.queuedOrder = this.#order++;
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

  /**
   * Takes the entry whose answer says most about the source: of a call that has answered before, accounts in turn. A first
   * poll only if no repeat waits, because a new call may fail for reasons of its own.
   */
  nextProbe(): Entry | null {
    return this.#repeats.takeAnswered() ?? this.#firsts.takeAnswered() ?? this.#repeats.take() ?? this.#firsts.take();
  }

  /** Yields the oldest entry of each account's first polls and repeats. */
  *heads(): Generator<Entry> {
    yield* this.#firsts.heads();
    yield* this.#repeats.heads();
  }

  #queueOf({ isFirstPoll }: Entry): RoundRobinQueue<Entry> {
    return isFirstPoll ? this.#firsts : this.#repeats;
  }
}

/** One queue per account, served in turn, so that a thousand calls of one account delay another account by one turn. */
class RoundRobinQueue<Entry extends QueuedPoll> {
  readonly #byAccount = new Map<string, AccountQueue<Entry>>();
  /** Number of places to skip for each removed entry. An entry that was added again stands behind these places. */
  readonly #skips = new Map<Entry, number>();
  /** Number of entries, removed ones excluded. */
  size = 0;

  add(entry: Entry): void {
    const queue = this.#byAccount.get(entry.accountId) ?? new AccountQueue<Entry>(this.#skips);
    if (queue.isEmpty) this.#byAccount.set(entry.accountId, queue);
    queue.push(entry);
    this.size += 1;
  }

  remove(entry: Entry): void {
    this.#skips.set(entry, (this.#skips.get(entry) ?? 0) + 1);
    this.size -= 1;
  }

  take(): Entry | null {
    for (const [accountId, queue] of this.#byAccount) {
      const entry = queue.shift();
      this.#endTurn(accountId, queue);
      if (entry !== null) return this.#taken(entry);
    }
    return null;
  }

  /** Takes an entry of a call that has answered before; `null` if there is none. Accounts without one keep their turns. */
  takeAnswered(): Entry | null {
    for (const [accountId, queue] of this.#byAccount) {
      const entry = queue.shiftAnswered();
      if (entry === null) continue;
      this.#endTurn(accountId, queue);
      return this.#taken(entry);
    }
    return null;
  }

  *heads(): Generator<Entry> {
    for (const queue of this.#byAccount.values()) {
      const head = queue.head();
      if (head !== null) yield head;
    }
  }

  /**
   * Moves the account to the end: a map keeps insertion order. A lone account stays, because a map that is written for every
   * poll leaves its former tables to the old generation.
   */
  #endTurn(accountId: string, queue: AccountQueue<Entry>): void {
    if (this.#byAccount.size === 1 && !queue.isEmpty) return;
    this.#byAccount.delete(accountId);
    if (!queue.isEmpty) this.#byAccount.set(accountId, queue);
  }

  #taken(entry: Entry): Entry {
    entry.isQueued = false;
    this.size -= 1;
    return entry;
  }
}

/** Entries of one account in their order. Those of calls that have answered before can be taken apart from the others. */
class AccountQueue<Entry extends QueuedPoll> {
  readonly #skips: Map<Entry, number>;
  readonly #answered = new Fifo<Entry>();
  readonly #others = new Fifo<Entry>();

  constructor(skips: Map<Entry, number>) {
    this.#skips = skips;
  }

  /** Whether there is no place left, skipped ones included. */
  get isEmpty(): boolean {
    return this.#answered.size + this.#others.size === 0;
  }

  push(entry: Entry): void {
    (entry.hasAnswered ? this.#answered : this.#others).push(entry);
  }

  head(): Entry | null {
    const [answered, other] = [this.#headOf(this.#answered), this.#headOf(this.#others)];
    if (answered === null || other === null) return answered ?? other;
    return answered.queuedOrder < other.queuedOrder ? answered : other;
  }

  shift(): Entry | null {
    const head = this.head();
    if (head === null) return null;
    return (head === this.#headOf(this.#answered) ? this.#answered : this.#others).shift();
  }

  shiftAnswered(): Entry | null {
    return this.#headOf(this.#answered) === null ? null : this.#answered.shift();
  }

  /** Returns the first entry that is not to be skipped, and drops the places before it. */
  #headOf(fifo: Fifo<Entry>): Entry | null {
    for (let entry = fifo.head(); entry !== null; entry = fifo.head()) {
      const skips = this.#skips.get(entry);
      if (skips === undefined) return entry;
      if (skips === 1) this.#skips.delete(entry);
      else this.#skips.set(entry, skips - 1);
      fifo.shift();
    }
    return null;
  }
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

  head(): T | null {
    return this.size === 0 ? null : (this.#items[this.#head] as T);
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
}
