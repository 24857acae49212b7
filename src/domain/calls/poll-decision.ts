import type { CallChange, CallStatus, Observation, StatusObservation } from "./call.ts";
import { goesBackwards, isTerminalStatus } from "./call-status.ts";

/** Waits of one source's polling, in milliseconds. The sandbox has its own; other sources have the operator's. */
export type PollPolicy = {
  readonly notFoundGraceMs: number;
  readonly lostAfterMs: number;
  /** Time for which the upstream keeps a status after the call ended. */
  readonly statusRetentionMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Time for which a parsed 200 of the source corroborates its 400s and 404s. */
  readonly corroborationMs: number;
  /** Time for which a call is polled further before an uncorroborated ending. 0 accepts every ending. */
  readonly uncorroboratedEndMs: number;
};

/**
 * State between the polls of a call, in memory only. A restart resets the streaks; that can only delay an ending. There is
 * a state for each watched call; calls without failures share `freshPollMemory`.
 */
export type PollMemory = {
  /** Number of failures in a row, for the backoff. */
  readonly failures: number;
  /** Streak of 400s or 404s. Answers without information about the call (5xx, timeout, 401, 429) neither extend nor end it. */
  readonly rejection: { readonly kind: "not_found" | "rejected"; readonly count: number; readonly sinceMs: number } | null;
  /** Time of the first poll after which only a missing corroboration kept the call from ending; `null` if there was none. */
  readonly uncorroboratedSinceMs: number | null;
  /** Status that goes backwards and was seen once; `null` if there is none. */
  readonly backwards: string | null;
  /** Whether the last answer had a status that ends the call but must be seen twice. */
  readonly endSeen: boolean;
};

export const freshPollMemory: PollMemory = {
  failures: 0,
  rejection: null,
  uncorroboratedSinceMs: null,
  backwards: null,
  endSeen: false,
};

export type PollInput = {
  readonly status: CallStatus;
  readonly memory: PollMemory;
  readonly oldestWatchAtMs: number;
  readonly youngestWatchAtMs: number;
  readonly earliestDeadlineAtMs: number;
};

export type PollContext = {
  readonly nowMs: number;
  /** Time of the last parsed 200 of the same source; `null` if there was none. */
  readonly corroboratedAtMs: number | null;
  /** Random number from 0 to 1. */
  readonly jitter: number;
};

export type PollDecision = {
  readonly memory: PollMemory;
  /**
   * Time when the status was last confirmed. A status that is not believed does not change this time, so that the next
   * event's `observed_after` precedes that status.
   */
  readonly lastGoodPollAtMs: number | null;
  /** Whether a parsed 200 had the resulting status. Watches without an event may then be notified of it. */
  readonly confirmed: boolean;
  /** Changes to commit; empty if nothing is to be written. */
  readonly changes: readonly CallChange[];
  /** Time of the next poll: at the source's interval, after a delay, or never. */
  readonly next: { readonly kind: "interval" } | { readonly kind: "delay"; readonly delayMs: number } | { readonly kind: "none" };
  /** Whether only a missing corroboration keeps the call from ending by 400 or 404. */
  readonly endsUncorroborated: boolean;
  /** Whether a status went backwards and was believed. */
  readonly isRegression: boolean;
};

type CallEnd = Extract<CallChange, { readonly kind: "end" }>;

type Step = Pick<PollDecision, "memory" | "changes" | "next"> &
  Partial<Pick<PollDecision, "confirmed" | "endsUncorroborated" | "isRegression">>;

const afterEnd: Step = { memory: freshPollMemory, changes: [], next: { kind: "none" } };

/** Shortest delay of a backoff. Without it full jitter could yield 0. */
const minDelayMs = 250;
const hourMs = 60 * 60 * 1000;

/**
 * Decides what follows from one answer of the upstream. Answers about the source rather than the call (401, 403, 429)
 * change nothing here, because the source gate handles them. After the deadline every answer is the last one and the due
 * watches expire. A 401 or 403 is an exception, because the calls of a suspended source wait. A call that has ended does
 * not change any more.
 */
export function decideAfterPoll(input: PollInput, observation: Observation, context: PollContext, policy: PollPolicy): PollDecision {
  const step = input.status.terminal ? afterEnd : decideStep(input, observation, context, policy);
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

/** Clears the streak of 400s and 404s, after a misconfigured source has answered again. */
export function resetRejections(memory: PollMemory): PollMemory {
  return { ...memory, rejection: null, uncorroboratedSinceMs: null, failures: 0 };
}

/** Returns the shortest interval for a call: 30 s after an hour without a change, 2 min after six hours, 0 (the source's own) before. */
export function minIntervalForAge(unchangedMs: number): number {
  if (unchangedMs >= 6 * hourMs) return 120_000;
  return unchangedMs >= hourMs ? 30_000 : 0;
}

function decideStep(input: PollInput, observation: Observation, context: PollContext, policy: PollPolicy): Step {
  switch (observation.kind) {
    case "status":
      return afterStatus(input, observation, context);
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

function afterStatus(
  { status: known, memory, earliestDeadlineAtMs }: PollInput,
  observed: StatusObservation,
  { nowMs }: PollContext,
): Step {
  const { status, reason, details } = observed;
  const terminal = observed.isMapped && isTerminalStatus(status);
  // At the deadline no further poll would confirm the end.
  if (terminal && observed.isTentative && !memory.endSeen && nowMs < earliestDeadlineAtMs)
    return { memory: { ...freshPollMemory, endSeen: true }, changes: [], next: { kind: "interval" } };
  // A word that was in no map may have been mapped to itself since, and ends the call now.
  if (known.status === status && !terminal) {
    const changes: CallChange[] = reason === known.reason && details === known.details ? [] : [{ kind: "note", reason, details }];
    return { memory: freshPollMemory, changes, next: { kind: "interval" }, confirmed: true };
  }
  const backwards = known.status !== null && goesBackwards(known.status, status);
  if (backwards && memory.backwards !== status)
    return { memory: { ...freshPollMemory, backwards: status }, changes: [], next: { kind: "interval" } };
  const observedAfterMs = known.status === null ? null : known.lastGoodPollAtMs;
  return {
    memory: freshPollMemory,
    changes: [{ kind: "status", status, reason, details, terminal, observedAfterMs }],
    next: terminal ? { kind: "none" } : { kind: "interval" },
    confirmed: true,
    isRegression: backwards,
  };
}

function afterRejection(input: PollInput, kind: "not_found" | "rejected", context: PollContext, policy: PollPolicy): Step {
  const { status: known, memory: before } = input;
  const { nowMs } = context;
  const seen = known.status !== null;
  // Once a status was seen, 400 and 404 mean the same. Before that, only equal answers form a streak.
  const streak = before.rejection !== null && (seen || before.rejection.kind === kind) ? before.rejection : null;
  const rejection = streak !== null ? { kind, count: streak.count + 1, sinceMs: streak.sinceMs } : { kind, count: 1, sinceMs: nowMs };
  const memory: PollMemory = { ...before, rejection, backwards: null, endSeen: false };
  const failures = before.failures + 1;
  const end = endOf(input, rejection, nowMs, policy);
  if (end === null) {
    // A call that has not started yet is polled at the usual interval; one that vanished is polled with backoff.
    if (!seen) return { memory: { ...memory, failures: 0 }, changes: [], next: { kind: "interval" } };
    return { memory: { ...memory, failures }, changes: [], next: backoff(failures, context, policy) };
  }
  const corroborated =
    policy.uncorroboratedEndMs === 0 || (context.corroboratedAtMs !== null && nowMs - context.corroboratedAtMs <= policy.corroborationMs);
  const uncorroboratedSinceMs = before.uncorroboratedSinceMs ?? nowMs;
  if (corroborated || nowMs - uncorroboratedSinceMs >= policy.uncorroboratedEndMs)
    return { memory, changes: [end], next: { kind: "none" }, endsUncorroborated: !corroborated };
  return {
    memory: { ...memory, failures, uncorroboratedSinceMs },
    changes: [],
    next: backoff(failures, context, policy),
    endsUncorroborated: true,
  };
}

function endOf(input: PollInput, rejection: NonNullable<PollMemory["rejection"]>, nowMs: number, policy: PollPolicy): CallEnd | null {
  const { status: known, oldestWatchAtMs, youngestWatchAtMs } = input;
  if (known.status !== null) {
    const lastSeenAtMs = known.lastGoodPollAtMs ?? known.observedAtMs;
    const longGone = lastSeenAtMs !== null && nowMs - lastSeenAtMs > policy.statusRetentionMs;
    const lost = (rejection.count >= 3 && nowMs - rejection.sinceMs >= policy.lostAfterMs) || (rejection.count >= 2 && longGone);
    return lost ? { kind: "end", endReason: "lost", spares: null } : null;
  }
  if (rejection.kind === "rejected") return rejection.count >= 2 ? { kind: "end", endReason: "rejected", spares: null } : null;
  // A time in the future was written before the clock was set back. The grace then counts from the first 404 of the streak.
  const futureIsOver = nowMs - rejection.sinceMs >= policy.notFoundGraceMs;
  const isOver = (createdAtMs: number) => (createdAtMs > nowMs ? futureIsOver : nowMs - createdAtMs >= policy.notFoundGraceMs);
  if (!isOver(oldestWatchAtMs)) return null;
  // Each watch has a grace of its own, so that a new watch of another account keeps no older one waiting.
  const spares = { afterMs: nowMs - policy.notFoundGraceMs, untilMs: futureIsOver ? nowMs : Number.MAX_SAFE_INTEGER };
  return { kind: "end", endReason: "not_found", spares: isOver(youngestWatchAtMs) ? null : spares };
}

/** Returns a delay with full jitter: a random part of a cap that doubles with every failure. */
function backoff(failures: number, context: PollContext, policy: PollPolicy): PollDecision["next"] {
  const capMs = Math.min(policy.backoffMinMs * 2 ** Math.min(failures - 1, 20), policy.backoffMaxMs);
  return { kind: "delay", delayMs: Math.max(Math.min(minDelayMs, capMs), Math.round(context.jitter * capMs)) };
}
