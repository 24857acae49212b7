/** One measured figure beside the bar it is held against. */
export type Figure = { readonly name: string; readonly value: number; readonly shown: string; readonly bar: string; readonly met: boolean };

/** Prints figures with their bars. Returns whether all were measured. */
export function printFigures(figures: readonly Figure[]): boolean {
  for (const { name, shown, bar, met } of figures) console.log(`${met ? "met " : "MISS"}  ${name}: ${shown}; bar ${bar}`);
  return figures.every(({ value }) => Number.isFinite(value));
}

/** The value below which `share` of the (unsorted) values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
