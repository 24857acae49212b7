/** More wait for a slot than may. */
export class SlotsFull extends Error {}

type Waiter = () => void;

/**
 * A bounded number of slots, and of those one group may hold only a few, so that who asks for much does not hold up who
 * asks for little. Groups that wait take turns.
 */
export class FairSlots {
  readonly #limits: { readonly total: number; readonly perGroup: number; readonly waiting: number };
  readonly #taken = new Map<string, number>();
  /** In the order of their turns. */
  readonly #waiting = new Map<string, Waiter[]>();
  #takenCount = 0;
  #waitingCount = 0;

  constructor(limits: { readonly total: number; readonly perGroup: number; readonly waiting: number }) {
    this.#limits = limits;
  }

  /** Runs `work` in a slot of the group; rejects with `SlotsFull` when too many wait already. */
  async run<T>(group: string, work: () => Promise<T>): Promise<T> {
    if (this.#hasCapacity(group)) this.#take(group);
    else await this.#wait(group);
    try {
      return await work();
    } finally {
      this.#release(group);
    }
  }

  #hasCapacity(group: string): boolean {
    return this.#takenCount < this.#limits.total && (this.#taken.get(group) ?? 0) < this.#limits.perGroup;
  }

  #take(group: string): void {
    this.#takenCount += 1;
    this.#taken.set(group, (this.#taken.get(group) ?? 0) + 1);
  }

  #wait(group: string): Promise<void> {
    if (this.#waitingCount >= this.#limits.waiting) throw new SlotsFull("too many wait");
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiters = this.#waiting.get(group);
    if (waiters === undefined) this.#waiting.set(group, [resolve]);
    else waiters.push(resolve);
    this.#waitingCount += 1;
    return promise;
  }

  #release(group: string): void {
    this.#takenCount -= 1;
    const left = (this.#taken.get(group) ?? 1) - 1;
    if (left === 0) this.#taken.delete(group);
    else this.#taken.set(group, left);
    for (const [next, waiters] of this.#waiting) {
      if (!this.#hasCapacity(next)) continue;
      this.#waiting.delete(next);
      const [first, ...others] = waiters;
      if (others.length > 0) this.#waiting.set(next, others);
      this.#waitingCount -= 1;
      this.#take(next);
      first?.();
      return;
    }
  }
}
