import { usableRate } from "../sources/rate-division.ts";

/** An instance that polls a source: the number of the source's calls that it owns, and its part of the rate. */
export type CallPoller = { readonly calls: number; readonly ratePerSecond: number };

/** A source's rate and its shortest interval. */
export type SourceLimits = { readonly maxPollsPerSecond: number; readonly intervalMinMs: number };

/** Tolerated difference. Small differences stay, because a call that moves loses its place in the poll schedule. */
const toleranceRatio = 1 / 20;
/**
 * Multiple of its pollable calls that an instance takes of what a dead or stopped instance left. No instance polls these calls, and
 * the rate of the instance that is gone is divided within seconds.
 */
const urgentFactor = 2;

/**
 * Returns how many calls this instance owns beyond its fair part, as far as the others can poll them: it releases these to the
 * others.
 */
export function callsToRelease(own: CallPoller, others: readonly CallPoller[], limits: SourceLimits): number {
  const pollers = [own, ...others];
  const total = sum(pollers.map(({ calls }) => calls));
  const fair = fairCount(total, pollers.length);
  if (own.calls <= fair + Math.max(1, Math.floor(fair * toleranceRatio))) return 0;
  const room = others.map((other) => Math.max(0, Math.min(fair, pollableCalls(other, total, pollers.length, limits)) - other.calls));
  return Math.min(own.calls - fair, sum(room));
}

/** Unowned calls of a source: those that an instance released to others, and those that a dead or stopped instance left. */
export type UnownedCalls = { readonly released: number; readonly left: number };

/**
 * Returns how many of the unowned calls this instance claims, at most up to its fair part and what its part of the rate can
 * poll. Later runs claim the rest.
 */
export function callsToClaim(own: CallPoller, others: readonly CallPoller[], free: UnownedCalls, limits: SourceLimits): UnownedCalls {
  const pollers = [own, ...others];
  const unowned = free.released + free.left;
  const total = sum(pollers.map(({ calls }) => calls)) + unowned;
  const fair = fairCount(total, pollers.length);
  const pollable = pollableCalls(own, total, pollers.length, limits);
  const left = Math.min(free.left, Math.max(0, Math.min(fair, pollable * urgentFactor) - own.calls));
  const released = Math.min(free.released, Math.max(0, Math.min(fair, pollable) - own.calls - left));
  return { released, left };
}

/** Whether this instance can poll more of the calls that a dead or stopped instance left, beyond its fair part. */
export function mayTakeLeft(own: CallPoller, others: readonly CallPoller[], free: UnownedCalls, limits: SourceLimits): boolean {
  const total = sum([own, ...others].map(({ calls }) => calls)) + free.released + free.left;
  return own.calls < pollableCalls(own, total, others.length + 1, limits) * urgentFactor;
}

/**
 * Returns how many calls an instance can poll no slower than the whole rate allows for all, or at the shortest interval. A
 * newcomer is granted its part of the rate within seconds, but has little of it at first. `Infinity` if it has its part.
 */
export function pollableCalls(
  { ratePerSecond }: Pick<CallPoller, "ratePerSecond">,
  totalCalls: number,
  pollers: number,
  { maxPollsPerSecond, intervalMinMs }: SourceLimits,
): number {
  const usable = usableRate(maxPollsPerSecond);
  if (ratePerSecond >= Math.floor(usable / pollers)) return Infinity;
  return Math.floor(Math.max((totalCalls * ratePerSecond) / usable, (ratePerSecond * intervalMinMs) / 1000));
}

function fairCount(calls: number, instances: number): number {
  return Math.ceil(calls / instances);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
