/** An entry of a set. The set keeps `slot`; -1 if the entry is in none. */
export type Slotted = { slot: number };

/**
 * Set whose entries know their place in an array, for what comes and goes with every request. A `Set` leaves its former tables
 * behind, each with a pointer to the next: once one is old, everything that the later ones ever named reaches the old
 * generation, where only a full collection finds it. The order of the entries is undefined.
 */
export class SlotSet<Entry extends Slotted> {
  readonly #entries: Entry[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** Adds an entry that is in no set. */
  add(entry: Entry): void {
    entry.slot = this.#entries.length;
    this.#entries.push(entry);
  }

  /** Removes an entry. Returns whether it was in the set. */
  delete(entry: Entry): boolean {
    const { slot } = entry;
    if (slot < 0) return false;
    const last = this.#entries.pop();
    if (last !== undefined && last !== entry) {
      this.#entries[slot] = last;
      last.slot = slot;
    }
    entry.slot = -1;
    return true;
  }

  /** Every entry once. The entry at hand may be deleted. */
  *[Symbol.iterator](): Generator<Entry> {
    for (let slot = this.#entries.length - 1; slot >= 0; slot -= 1) {
      const entry = this.#entries[slot];
      if (entry !== undefined) yield entry;
    }
  }
}
