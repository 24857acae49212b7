/** Calls of one source by owner: the number of this instance, and that of each other instance that polls the source. */
export type CallCounts = {
  readonly own: number;
  readonly others: readonly number[];
};

/** Tolerated difference. Small differences stay, because a call that moves loses its place in the poll schedule. */
const toleranceRatio = 1 / 20;

/** Returns how many calls this instance owns beyond its fair part, so that it can release them to other instances. */
export function callsToRelease({ own, others }: CallCounts): number {
  const fair = fairCount(own + sum(others), others.length + 1);
  return own <= fair + Math.max(1, Math.floor(fair * toleranceRatio)) ? 0 : own - fair;
}

/** Returns how many of the unowned calls (`free`) this instance claims to reach its fair part. Later runs claim the rest. */
export function callsToClaim({ own, others, free }: CallCounts & { readonly free: number }): number {
  return Math.min(free, Math.max(0, fairCount(own + sum(others) + free, others.length + 1) - own));
}

function fairCount(calls: number, instances: number): number {
  return Math.ceil(calls / instances);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
