import { percentile } from "../figure.ts";
import type { Figure } from "../figure.ts";

export type Timed = { readonly name: string; readonly ms: number };

const reads = 5;

/** Returns the median time of each read. */
export async function timeEach(
  named: readonly (readonly [name: string, read: () => Promise<unknown>])[],
  state: string,
): Promise<readonly Timed[]> {
  const timed: Timed[] = [];
  for (const [name, read] of named) {
    const times: number[] = [];
    for (let n = 0; n < reads; n++) {
      const startedMs = performance.now();
      await read();
      times.push(performance.now() - startedMs);
    }
    timed.push({ name: `${name}, ${state}`, ms: percentile(times, 0.5) });
  }
  return timed;
}

/** Returns the slowest of reads as a figure. */
export function slowestOf(timed: readonly Timed[], { name, barMs }: { readonly name: string; readonly barMs: number }): Figure {
  const [slowest] = timed.toSorted((a, b) => b.ms - a.ms);
  const ms = slowest?.ms ?? Number.NaN;
  return { name, value: ms, shown: `${ms.toFixed(1)} ms (${slowest?.name})`, bar: `<= ${barMs} ms`, met: ms <= barMs };
}
