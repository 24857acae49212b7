/** Calls of one source as the instances that poll it have them. */
export type CallShares = {
  readonly own: number;
  readonly others: readonly number[];
};

/** Calls that change hands are polled anew from the start, so small differences stay. */
const toleranceRatio = 1 / 20;

/** How many one should give back: what it has beyond its fair share (then others have less than theirs). */
export function callsToRelease({ own, others }: CallShares): number {
  const fair = fairShare(own + sum(others), others.length + 1);
  return own <= fair + Math.max(1, Math.floor(fair * toleranceRatio)) ? 0 : own - fair;
}

/** How many of the free ones one should take; those nobody should take by this are taken by whoever sees them again. */
export function callsToClaim({ own, others, free }: CallShares & { readonly free: number }): number {
  return Math.min(free, Math.max(0, fairShare(own + sum(others) + free, others.length + 1) - own));
}

function fairShare(calls: number, instances: number): number {
  return Math.ceil(calls / instances);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
