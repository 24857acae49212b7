/** How many calls a source has, by the least interval their age asks for (0: the source's own). */
export class SourceLoad {
  readonly #callsByLeastMs = new Map<number, number>();
  #calls = 0;

  get calls(): number {
    return this.#calls;
  }

  change(leastIntervalMs: number, delta: 1 | -1): void {
    this.#calls += delta;
    this.#callsByLeastMs.set(leastIntervalMs, (this.#callsByLeastMs.get(leastIntervalMs) ?? 0) + delta);
  }

  /**
   * The shortest interval at which everybody fits into the rate, 0 without calls. Who asks for a longer one counts with
   * that one, until the rate stretches it too.
   */
  intervalMs(ratePerSecond: number): number {
    const classes = [...this.#callsByLeastMs].toSorted(([a], [b]) => a - b);
    let slowerPerSecond = 0;
    for (const [leastMs, calls] of classes) if (leastMs > 0) slowerPerSecond += (calls * 1000) / leastMs;
    let calls = 0;
    for (const [index, [leastMs, ofClass]] of classes.entries()) {
      calls += ofClass;
      if (leastMs > 0) slowerPerSecond -= (ofClass * 1000) / leastMs;
      const left = ratePerSecond - slowerPerSecond;
      const intervalMs = calls === 0 ? 0 : (calls / left) * 1000;
      const isLast = index === classes.length - 1;
      if (isLast) return (calls / ratePerSecond) * 1000;
      if (left > 0 && intervalMs <= (classes[index + 1]?.[0] ?? 0)) return intervalMs;
    }
    return 0;
  }
}
