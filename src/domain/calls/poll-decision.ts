import type { CallChange, CallEndReason, CallStatus, Observation } from "./call.ts";
import { goesBackwards, isTerminalStatus } from "./call-status.ts";

/** The waits of one source's polling. The sandbox has its own, everything else the operator's. */
export type PollPolicy = {
  readonly notFoundGraceMs: number;
  readonly lostAfterMs: number;
  /** How long the upstream keeps a status after the call ended. */
  readonly statusRetentionMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** How long a parsed 200 of the source vouches for its 400s and 404s. */
  readonly corroborationMs: number;
  /** How long an ending without a witness is polled on; 0: endings need none. */
  readonly uncorroboratedEndMs: number;
};

/**
 * What is remembered between polls, in memory alone: a restart begins the streaks anew, which can only make an ending
 * later. One exists for every watched call, so it is shared (`freshPollMemory`) while nothing is out of the ordinary.
 */
export type PollMemory = {
  /** Failures in a row, for the backoff. */
  readonly failures: number;
  /** 400s or 404s in a row. An answer that says nothing about the call (5xx, timeout, 401, 429) neither adds nor ends it. */
  readonly rejection: { readonly kind: "not_found" | "rejected"; readonly count: number; readonly sinceMs: number } | null;
  /** Since when the call would have ended but for the missing witness. */
  readonly uncorroboratedSinceMs: number | null;
  /** A status that would go backwards, seen once. */
  readonly backwards: string | null;
};

export const freshPollMemory: PollMemory = { failures: 0, rejection: null, uncorroboratedSinceMs: null, backwards: null };

export type PollInput = {
  readonly status: CallStatus;
  readonly memory: PollMemory;
  readonly youngestWatchAtMs: number;
  readonly earliestDeadlineAtMs: number;
};

export type PollContext = {
  readonly nowMs: number;
  /** The last parsed 200 of the same source; null when there was none. */
  readonly corroboratedAtMs: number | null;
  /** 0 to 1. */
  readonly jitter: number;
};

export type PollDecision = {
  readonly memory: PollMemory;
  /** When the status was last confirmed. A status not believed confirms nothing: the next event's `observed_after` is before it. */
  readonly lastGoodPollAtMs: number | null;
  /** A parsed 200 said that the call has the status this leaves it with: what was told nothing yet may be told it. */
  readonly confirmed: boolean;
  /** Empty: nothing to write. */
  readonly changes: readonly CallChange[];
  /** `none`: nobody polls this call again. */
  readonly next: { readonly kind: "interval" } | { readonly kind: "delay"; readonly delayMs: number } | { readonly kind: "none" };
  /** It would have ended by 400 or 404 but for the missing witness. */
  readonly endsUncorroborated: boolean;
  /** A status went backwards and was believed. */
  readonly isRegression: boolean;
};

type Step = Pick<PollDecision, "memory" | "changes" | "next"> &
  Partial<Pick<PollDecision, "confirmed" | "endsUncorroborated" | "isRegression">>;

const afterTheEnd: Step = { memory: freshPollMemory, changes: [], next: { kind: "none" } };

/** Below this a backoff with full jitter would be no backoff. */
const minDelayMs = 250;
const hourMs = 60 * 60 * 1000;

/**
 * What follows from one answer of the upstream. Answers about the source rather than the call (401, 403, 429) change
 * nothing here: the source gate acts on them. Past the deadline any answer is the last, and the due watches expire;
 * after 401 and 403 alone that waits, as for every call of a suspended source. A call that ended stays as it is,
 * whatever is said of it.
 */
export function decideAfterPoll(input: PollInput, observation: Observation, context: PollContext, policy: PollPolicy): PollDecision {
  const step = input.status.terminal ? afterTheEnd : decideStep(input, observation, context, policy);
  const decision: PollDecision = {
    lastGoodPollAtMs: step.confirmed === true ? context.nowMs : input.status.lastGoodPollAtMs,
    confirmed: false,
    endsUncorroborated: false,
    isRegression: false,
    ...step,
  };
  if (decision.next.kind === "none" || observation.kind === "unauthorized" || context.nowMs < input.earliestDeadlineAtMs) return decision;
  return { ...decision, changes: [...decision.changes, { kind: "expire" }] };
}

/** The streaks of 400 and 404 count for nothing any more: the source was misconfigured and now answers. */
export function resetRejections(memory: PollMemory): PollMemory {
  return { ...memory, rejection: null, uncorroboratedSinceMs: null, failures: 0 };
}

/** A call unchanged for an hour is polled every 30 s, for six every 2 minutes; 0 is the source's own interval. */
export function minIntervalForAge(unchangedMs: number): number {
  if (unchangedMs >= 6 * hourMs) return 120_000;
  return unchangedMs >= hourMs ? 30_000 : 0;
}

function decideStep(input: PollInput, observation: Observation, context: PollContext, policy: PollPolicy): Step {
  switch (observation.kind) {
    case "status":
      return afterStatus(input, observation.status, observation.reason);
    case "not_found":
    case "rejected":
      return afterRejection(input, observation.kind, context, policy);
    case "failed": {
      const memory = { ...input.memory, failures: input.memory.failures + 1 };
      return { memory, changes: [], next: backoff(memory.failures, context, policy) };
    }
    case "unauthorized":
    case "rate_limited":
      return { memory: input.memory, changes: [], next: { kind: "interval" } };
  }
}

function afterStatus({ status: known, memory }: PollInput, status: string, reason: string): Step {
  if (known.status === status) {
    const changes: CallChange[] = reason === known.reason ? [] : [{ kind: "reason", reason }];
    return { memory: freshPollMemory, changes, next: { kind: "interval" }, confirmed: true };
  }
  const backwards = known.status !== null && goesBackwards(known.status, status);
  if (backwards && memory.backwards !== status)
    return { memory: { ...freshPollMemory, backwards: status }, changes: [], next: { kind: "interval" } };
  const terminal = isTerminalStatus(status);
  const observedAfterMs = known.status === null ? null : known.lastGoodPollAtMs;
  return {
    memory: freshPollMemory,
    changes: [{ kind: "status", status, reason, terminal, observedAfterMs }],
    next: terminal ? { kind: "none" } : { kind: "interval" },
    confirmed: true,
    isRegression: backwards,
  };
}

function afterRejection(input: PollInput, kind: "not_found" | "rejected", context: PollContext, policy: PollPolicy): Step {
  const { status: known, memory: before } = input;
  const { nowMs } = context;
  const seen = known.status !== null;
  // Once a status was seen, 400 and 404 say the same; before, only the same answer twice in a row is a streak.
  const streak = before.rejection !== null && (seen || before.rejection.kind === kind) ? before.rejection : null;
  const rejection = streak !== null ? { kind, count: streak.count + 1, sinceMs: streak.sinceMs } : { kind, count: 1, sinceMs: nowMs };
  const memory: PollMemory = { ...before, rejection, backwards: null };
  const failures = before.failures + 1;
  const endReason = endReasonOf(input, rejection, nowMs, policy);
  if (endReason === null) {
    // A call not triggered yet is looked for at the usual pace; one that vanished is given time.
    if (!seen) return { memory: { ...memory, failures: 0 }, changes: [], next: { kind: "interval" } };
    return { memory: { ...memory, failures }, changes: [], next: backoff(failures, context, policy) };
  }
  const corroborated =
    policy.uncorroboratedEndMs === 0 || (context.corroboratedAtMs !== null && nowMs - context.corroboratedAtMs <= policy.corroborationMs);
  const uncorroboratedSinceMs = before.uncorroboratedSinceMs ?? nowMs;
  if (corroborated || nowMs - uncorroboratedSinceMs >= policy.uncorroboratedEndMs)
    return { memory, changes: [{ kind: "end", endReason }], next: { kind: "none" }, endsUncorroborated: !corroborated };
  return {
    memory: { ...memory, failures, uncorroboratedSinceMs },
    changes: [],
    next: backoff(failures, context, policy),
    endsUncorroborated: true,
  };
}

function endReasonOf(
  input: PollInput,
  rejection: NonNullable<PollMemory["rejection"]>,
  nowMs: number,
  policy: PollPolicy,
): CallEndReason | null {
  const { status: known, youngestWatchAtMs } = input;
  if (known.status !== null) {
    const lastSeenAtMs = known.lastGoodPollAtMs ?? known.observedAtMs;
    const longGone = lastSeenAtMs !== null && nowMs - lastSeenAtMs > policy.statusRetentionMs;
    const lost = (rejection.count >= 3 && nowMs - rejection.sinceMs >= policy.lostAfterMs) || (rejection.count >= 2 && longGone);
    return lost ? "lost" : null;
  }
  if (rejection.kind === "rejected") return rejection.count >= 2 ? "rejected" : null;
  // A time ahead of now was written before the clock was set back: the grace counts from the first 404 in a row instead.
  const graceFromMs = youngestWatchAtMs > nowMs ? rejection.sinceMs : youngestWatchAtMs;
  return nowMs - graceFromMs >= policy.notFoundGraceMs ? "not_found" : null;
}

/** Full jitter: anything up to the cap, which doubles from the minimum. */
function backoff(failures: number, context: PollContext, policy: PollPolicy): PollDecision["next"] {
  const capMs = Math.min(policy.backoffMinMs * 2 ** Math.min(failures - 1, 20), policy.backoffMaxMs);
  return { kind: "delay", delayMs: Math.max(Math.min(minDelayMs, capMs), Math.round(context.jitter * capMs)) };
}
