/**
 * Capacity, in whole units of cost, that parties share without a fixed number of parties: each may use as much as is still
 * free (Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998, with a factor of
 * 1). One party alone gets half; `n` parties that all want more get 1 / (n + 1) each, and as much stays free for the next
 * one. A party that uses nothing may always take its first part, large or small, so that no other party can exclude it.
 * Therefore the sum is bounded by the limit and one part of each party.
 */
export class FairCapacity {
  readonly #limit: number;
  readonly #usedBy = new Map<string, number>();
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes a part; returns false, and takes nothing, if the party would use more than is free. */
  tryAcquire(party: string, cost: number): boolean {
    const usedBefore = this.#usedBy.get(party);
    if (usedBefore !== undefined && usedBefore + cost > this.#limit - this.#used) return false;
    this.#usedBy.set(party, (usedBefore ?? 0) + cost);
    this.#used += cost;
    return true;
  }

  /** Returns a part that was taken, with the cost that it was taken with. */
  release(party: string, cost: number): void {
    const left = (this.#usedBy.get(party) ?? 0) - cost;
    if (left > 0) this.#usedBy.set(party, left);
    else this.#usedBy.delete(party);
    this.#used -= cost;
  }
}
