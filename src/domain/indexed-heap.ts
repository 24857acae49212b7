/** An entry of a heap. The heap keeps `heapIndex`; -1 if the entry is in none. */
export type HeapEntry = { heapIndex: number };

/** Binary heap whose entries know their place, so that any of them can be moved or removed in O(log n). */
export class IndexedHeap<Entry extends HeapEntry> {
  readonly #entries: Entry[] = [];
  readonly #isBefore: (a: Entry, b: Entry) => boolean;

  constructor(isBefore: (a: Entry, b: Entry) => boolean) {
    this.#isBefore = isBefore;
  }

  /** The first entry in the order of `isBefore`; `undefined` if the heap is empty. */
  get first(): Entry | undefined {
    return this.#entries[0];
  }

  add(entry: Entry): void {
    entry.heapIndex = this.#entries.length;
    this.#entries.push(entry);
    this.#rise(entry);
  }

  remove(entry: Entry): void {
    const last = this.#entries.pop();
    if (last !== undefined && last !== entry) {
      this.#place(last, entry.heapIndex);
      this.#rise(last);
      this.sink(last);
    }
    entry.heapIndex = -1;
  }

  /** Restores the order after `entry` has become later. */
  sink(entry: Entry): void {
    for (let child = this.#earlierChild(entry); child !== undefined && this.#isBefore(child, entry); child = this.#earlierChild(entry))
      this.#swap(child, entry);
  }

  #rise(entry: Entry): void {
    for (let parent = this.#parent(entry); parent !== undefined && this.#isBefore(entry, parent); parent = this.#parent(entry))
      this.#swap(entry, parent);
  }

  #parent({ heapIndex }: Entry): Entry | undefined {
    return heapIndex === 0 ? undefined : this.#entries[(heapIndex - 1) >> 1];
  }

  #earlierChild({ heapIndex }: Entry): Entry | undefined {
    const left = this.#entries[2 * heapIndex + 1];
    const right = this.#entries[2 * heapIndex + 2];
    return left !== undefined && right !== undefined && this.#isBefore(right, left) ? right : left;
  }

  #swap(a: Entry, b: Entry): void {
    const { heapIndex } = a;
    this.#place(a, b.heapIndex);
    this.#place(b, heapIndex);
  }

  #place(entry: Entry, heapIndex: number): void {
    this.#entries[heapIndex] = entry;
    entry.heapIndex = heapIndex;
  }
}
