/** Who has a part in a source's rate: an instance and the calls it owns of the source. */
export type RateParticipant = { readonly token: number; readonly calls: number };

/** This part of the rate is left to whoever joins next, so that its first polls need not wait until others gave some up. */
const reserveRatio = 1 / 16;

/**
 * The instances that poll a source: every one of them, or as many as it allows polls a second, those that joined first.
 * A rate shared by more could not be kept in every second.
 */
export function pollersOf(limitPerSecond: number, tokens: readonly number[]): readonly number[] {
  return tokens.toSorted((a, b) => a - b).slice(0, Math.max(1, Math.floor(usableRate(limitPerSecond))));
}

/**
 * Polls a second for each of the pollers, by token: in proportion to the calls owned, where nobody counts less than the
 * fair share of them that it is about to have. Whole numbers, with what is left over for the first one: so that neither
 * they nor what each may send within one second (rounded up) add up to more than the limit does.
 */
export function shareRate(limitPerSecond: number, participants: readonly RateParticipant[]): ReadonlyMap<number, number> {
  const rate = usableRate(limitPerSecond);
  const pollers = pollersOf(
    limitPerSecond,
    participants.map(({ token }) => token),
  );
  const calls = pollers.map((token) => participants.find((participant) => participant.token === token)?.calls ?? 0);
  const fairCalls = sum(calls) / pollers.length;
  const weights = calls.map((owned) => Math.max(owned, fairCalls, 1));
  const whole = Math.floor(rate);
  // Everybody has at least one a second.
  const spare = Math.max(0, whole - pollers.length);
  const parts = weights.map((weight) => (spare * weight) / sum(weights));
  const grants = parts.map((part) => Math.min(1, whole) + Math.floor(part));
  const byRemainder = parts.map((part, index) => ({ index, remainder: part % 1 })).toSorted((a, b) => b.remainder - a.remainder);
  for (const { index } of byRemainder.slice(0, Math.max(0, whole - sum(grants)))) grants[index] = (grants[index] ?? 0) + 1;
  grants[0] = (grants[0] ?? 0) + (rate - whole);
  return new Map(pollers.map((token, index) => [token, grants[index] ?? 0]));
}

/** What one may have of the rate it wants while the others have theirs; never less than it has already. */
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

function usableRate(limitPerSecond: number): number {
  return limitPerSecond - Math.floor(limitPerSecond * reserveRatio);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
