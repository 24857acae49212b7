/**
 * Polls in flight of all sources together, at most `max`. Beyond that, sources wait, and a slot that becomes free goes to the
 * waiting source with the fewest polls in flight. So sources that answer slowly hold slots only as long as no other source
 * needs them, and a source that answers at once keeps its rate.
 */
export class PollSlots<Source extends object> {
  readonly #max: number;
  readonly #inFlight = new Map<Source, number>();
  readonly #waiting = new Set<Source>();
  #total = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether a poll of the source may start. If not, the source waits for `nextWaiting`. */
  mayStart(source: Source): boolean {
    if (this.#total < this.#max) return true;
    this.wait(source);
    return false;
  }

  /** Lets the source wait for its turn. */
  wait(source: Source): void {
    this.#waiting.add(source);
  }

  begin(source: Source): void {
    this.#total += 1;
    this.#inFlight.set(source, this.#of(source) + 1);
  }

  end(source: Source): void {
    this.#total -= 1;
    this.#inFlight.set(source, this.#of(source) - 1);
  }

  get hasWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Takes the waiting source with the fewest polls in flight, of several the one that has waited longest; `null` if no slot is free or no source waits. */
  nextWaiting(): Source | null {
    if (this.#total >= this.#max) return null;
    let next: Source | null = null;
    for (const source of this.#waiting) if (next === null || this.#of(source) < this.#of(next)) next = source;
    if (next !== null) this.#waiting.delete(next);
    return next;
  }

  #of(source: Source): number {
    return this.#inFlight.get(source) ?? 0;
  }
}
