/** One measured figure beside the bar it is held against. */
export type Figure = { readonly name: string; readonly value: number; readonly shown: string; readonly bar: string; readonly met: boolean };

/** Something this machine lacks kept a figure from being measured. */
export type NotMeasured = { readonly name: string; readonly reason: string };

/** The value below which `share` of the (unsorted) values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
