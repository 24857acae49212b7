/** An instance that polls a source, and the number of the source's calls that it owns. */
export type RateParticipant = { readonly token: number; readonly calls: number };

/**
 * Part of the rate that is reserved for a joining instance, so that its first polls need not wait until others release a
 * part of theirs.
 */
const reserveRatio = 1 / 16;

/**
 * Returns the instances that poll a source, in the order of joining. Their number is at most the source's polls per second,
 * because more instances would exceed the rate within a second.
 */
export function pollersOf(limitPerSecond: number, tokens: readonly number[]): readonly number[] {
  return tokens.toSorted((a, b) => a - b).slice(0, Math.max(1, Math.floor(usableRate(limitPerSecond))));
}

/**
 * Returns polls a second for each poller, by token, in proportion to the calls owned. A poller counts at least with the
 * fair part of the calls, because it will receive that part. The numbers are whole, and the first poller gets the rest. So
 * their sum is at most the limit, and so is the sum of the polls within one second (each rounded up).
 */
export function divideRate(limitPerSecond: number, participants: readonly RateParticipant[]): ReadonlyMap<number, number> {
  const rate = usableRate(limitPerSecond);
  const pollers = pollersOf(
    limitPerSecond,
    participants.map(({ token }) => token),
  );
  const calls = pollers.map((token) => participants.find((participant) => participant.token === token)?.calls ?? 0);
  const fairCalls = sum(calls) / pollers.length;
  const weights = calls.map((owned) => Math.max(owned, fairCalls, 1));
  const whole = Math.floor(rate);
  // Every poller has at least one poll a second.
  const spare = Math.max(0, whole - pollers.length);
  const parts = weights.map((weight) => (spare * weight) / sum(weights));
  const grants = parts.map((part) => Math.min(1, whole) + Math.floor(part));
  const byRemainder = parts.map((part, index) => ({ index, remainder: part % 1 })).toSorted((a, b) => b.remainder - a.remainder);
  for (const { index } of byRemainder.slice(0, Math.max(0, whole - sum(grants)))) grants[index] = (grants[index] ?? 0) + 1;
  grants[0] = (grants[0] ?? 0) + (rate - whole);
  return new Map(pollers.map((token, index) => [token, grants[index] ?? 0]));
}

/** Returns the rate that an instance may use now: the wanted rate, limited to what the others leave, but at least its published rate. */
export function raisedRate(request: {
  readonly limitPerSecond: number;
  readonly publishedPerSecond: number;
  readonly wantedPerSecond: number;
  readonly othersPerSecond: number;
}): number {
  const { limitPerSecond, publishedPerSecond, wantedPerSecond, othersPerSecond } = request;
  const leftPerSecond = limitPerSecond - othersPerSecond;
  const granted = wantedPerSecond <= leftPerSecond ? wantedPerSecond : Math.floor(leftPerSecond);
  return Math.max(publishedPerSecond, granted);
}

/** Returns the polls a second that are divided. The rest is the reserve for a joining instance. */
export function usableRate(limitPerSecond: number): number {
  return limitPerSecond - Math.floor(limitPerSecond * reserveRatio);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
