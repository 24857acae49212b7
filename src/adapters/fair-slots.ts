import { FairCapacity } from "../domain/fair-capacity.ts";

/** Error of a wait for a slot: too many wait already, or the wait took too long. */
export class SlotsFull extends Error {}

/** The wait for a slot took too long. */
export class SlotTimeout extends SlotsFull {}

export type SlotLimits = {
  readonly total: number;
  readonly perGroup: number;
  /** Number of requests that may wait. Groups share it, so that one group cannot exclude the others. */
  readonly waiting: number;
  /** Longest wait for a slot. */
  readonly maxWaitMs: number;
};

type Waiter = { readonly start: () => void };

/**
 * Bounded number of slots. One group may hold only a few of them, so that a group with many requests does not delay the
 * others. Waiting groups take turns.
 */
export class FairSlots {
  readonly #limits: SlotLimits;
  readonly #taken = new Map<string, number>();
  /** Waiting requests by group. The groups are in the order of their turns. */
  readonly #waiting = new Map<string, Set<Waiter>>();
  readonly #places: FairCapacity;
  #takenCount = 0;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
    this.#places = new FairCapacity(limits.waiting);
  }

  /**
   * Acquires a slot for the group and resolves with the function that releases it. That function may be called more than
   * once. Rejects with `SlotsFull`.
   */
  async acquire(group: string): Promise<() => void> {
    if (this.#hasCapacity(group)) this.#take(group);
    else await this.#wait(group);
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.#release(group);
    };
  }

  #hasCapacity(group: string): boolean {
    return this.#takenCount < this.#limits.total && (this.#taken.get(group) ?? 0) < this.#limits.perGroup;
  }

  #take(group: string): void {
    this.#takenCount += 1;
    this.#taken.set(group, (this.#taken.get(group) ?? 0) + 1);
  }

  #wait(group: string): Promise<void> {
    if (!this.#places.tryAcquire(group, 1)) throw new SlotsFull("too many wait");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiters = this.#waiting.get(group) ?? new Set<Waiter>();
    this.#waiting.set(group, waiters);
    const timer = setTimeout(() => {
      this.#remove(group, waiters, waiter);
      reject(new SlotTimeout("the wait took too long"));
    }, this.#limits.maxWaitMs);
    const waiter: Waiter = {
      start: () => {
        clearTimeout(timer);
        resolve();
      },
    };
    waiters.add(waiter);
    return promise;
  }

  #remove(group: string, waiters: Set<Waiter>, waiter: Waiter): void {
    waiters.delete(waiter);
    this.#places.release(group, 1);
    if (waiters.size === 0) this.#waiting.delete(group);
  }

  #release(group: string): void {
    this.#takenCount -= 1;
    const left = (this.#taken.get(group) ?? 1) - 1;
    if (left === 0) this.#taken.delete(group);
    else this.#taken.set(group, left);
    for (const [next, waiters] of this.#waiting) {
      if (!this.#hasCapacity(next)) continue;
      const [first] = waiters;
      if (first === undefined) continue;
      this.#remove(next, waiters, first);
      // The group's next turn comes after those of all others.
      if (this.#waiting.delete(next)) this.#waiting.set(next, waiters);
      this.#take(next);
      first.start();
      return;
    }
  }
}
