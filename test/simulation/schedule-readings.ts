import type { Evidence } from "./evidence.ts";
import type { AttemptContext, KnownDelivery } from "./ledger.ts";
import type { Exchange } from "./receivers.ts";

/** The service reads one clock and writes whole milliseconds. */
const roundingMs = 2;
/** Longest delay of a step, as a multiple of the shortest. */
const maxJitter = 1.2;
/** Until the service has noticed a step of the wall clock, and moved what waits; what it writes meanwhile is moved too. */
const clockLookMs = 5000;

/** One of the states of a schedule that the attempts of a delivery may have led to. */
type Reading = {
  readonly spent: number;
  /** The attempt that spent the last step; `null` before the first. */
  readonly last: Exchange | null;
  /** Whether an attempt ahead of the next step was made and failed. */
  readonly isEarlyUsed: boolean;
  /** Whether a request made the next step due, without a new schedule. */
  readonly isDueNow: boolean;
  readonly manualUsed: number;
};

type Kind = "regular" | "early" | "manual";

const start: Reading = { spent: 0, last: null, isEarlyUsed: false, isDueNow: false, manualUsed: 0 };

/**
 * Follows the schedule of a delivery. An attempt is a regular one, one that a 2xx brought forward, or one that was asked for,
 * and its receiver cannot always know which: all states that are possible are kept, and the rule is broken when none is left.
 */
export class ScheduleReadings {
  readonly #evidence: Evidence;

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  /** Returns why the attempt that begins now is none of the schedule; `null` if it may be one. */
  fault(delivery: KnownDelivery, context: AttemptContext): { readonly rule: string; readonly detail: string } | null {
    const nowMs = this.#evidence.scheduler.nowMs;
    const readings = this.#renewed(this.#readings(delivery), delivery.exchanges.at(-1), context);
    if (readings.length === 0 || readings.some((reading) => this.#kinds(reading, nowMs, context).length > 0)) return null;
    const { scheduleMs } = this.#evidence.limits;
    const last = readings.find(({ spent }) => spent < scheduleMs.length);
    if (last === undefined) return { rule: "schedule", detail: `more than ${scheduleMs.length} attempts` };
    const delayMs = scheduleMs[last.spent] ?? 0;
    return last.isEarlyUsed
      ? { rule: "brought forward once", detail: `another attempt ahead of its step, which is due after ${delayMs} ms` }
      : { rule: "schedule", detail: `attempt after ${nowMs - (last.last?.endedAtMs ?? nowMs)} ms, ${delayMs} ms is the least` };
  }

  /** Whether all steps of the schedule may be spent. */
  mayBeExhausted(delivery: KnownDelivery): boolean {
    return this.#readings(delivery).some(({ spent }) => spent >= this.#evidence.limits.scheduleMs.length);
  }

  /** Returns the states after the attempts so far. Whether one was written down may become known later, so nothing is kept. */
  #readings({ exchanges, contexts, manualAsked }: KnownDelivery): readonly Reading[] {
    let readings: readonly Reading[] = [start];
    for (const [index, exchange] of exchanges.entries()) {
      const context = contexts.get(exchange);
      if (context === undefined) continue;
      const isCertain = exchange.endedAtMs !== null && !this.#evidence.isUncertain(exchange);
      const next = this.#renewed(readings, exchanges[index - 1], context).flatMap((reading) => {
        const kinds = this.#kinds(reading, exchange.startedAtMs, context);
        const all: readonly Kind[] = reading.manualUsed < manualAsked ? [...kinds, "manual"] : kinds;
        const after = all.map((kind) => resultOf(reading, exchange, kind));
        return isCertain ? after : [reading, ...after];
      });
      // An attempt that could not be explained was a violation of its own.
      if (next.length > 0) readings = distinct(next);
    }
    return readings;
  }

  /** Adds what a request may have led to: a new schedule, or a next step that is due. It may as well have changed nothing. */
  #renewed(readings: readonly Reading[], before: Exchange | undefined, { renewedAtMs, isUnknown }: AttemptContext): readonly Reading[] {
    if (before === undefined || (before.startedAtMs > renewedAtMs && !isUnknown)) return readings;
    return distinct(readings.flatMap((reading) => [reading, { ...reading, isDueNow: true }, { ...start, manualUsed: reading.manualUsed }]));
  }

  #kinds(
    { spent, last, isEarlyUsed, isDueNow }: Reading,
    atMs: number,
    { lastTakenAtMs, isUnknown, isManual }: AttemptContext,
  ): readonly Kind[] {
    const { scheduleMs } = this.#evidence.limits;
    if (isManual) return [];
    if (last === null) return ["regular"];
    const isMeasured = !this.#evidence.hasClockStepSince(last.startedAtMs - clockLookMs);
    const delayMs = scheduleMs[spent] ?? Infinity;
    const waitedMs = atMs - (last.endedAtMs ?? atMs) + roundingMs;
    const isRegular = spent < scheduleMs.length && (waitedMs >= delayMs || isDueNow || !isMeasured);
    // What was taken before it may be written down after it failed.
    const isTakenSince = lastTakenAtMs >= 0 && this.#evidence.recordedAtMs(lastTakenAtMs) >= last.startedAtMs;
    const isEarly = spent < scheduleMs.length && !isEarlyUsed && (isTakenSince || isUnknown);
    return [
      ...(isRegular ? (["regular"] as const) : []),
      ...(isEarly && (waitedMs < delayMs * maxJitter + 2 * roundingMs || !isMeasured) ? (["early"] as const) : []),
    ];
  }
}

/** Returns the state after an attempt. What delivers or is deferred spends nothing. */
function resultOf(reading: Reading, exchange: Exchange, kind: Kind): Reading {
  if (kind === "manual") return { ...reading, manualUsed: reading.manualUsed + 1 };
  if (!spendsStep(exchange)) return reading;
  if (kind === "early") return { ...reading, isEarlyUsed: true };
  return { ...reading, spent: reading.spent + 1, last: exchange, isEarlyUsed: false, isDueNow: false };
}

function distinct(readings: readonly Reading[]): readonly Reading[] {
  const keyOf = ({ spent, last, isEarlyUsed, isDueNow, manualUsed }: Reading) =>
    `${spent} ${last?.startedAtMs} ${isEarlyUsed} ${isDueNow} ${manualUsed}`;
  return [...new Map(readings.map((reading) => [keyOf(reading), reading])).values()];
}

/** A failed attempt that is no deferral. */
export function spendsStep({ outcome, retryAfterMs }: Exchange): boolean {
  if (outcome === null) return false;
  if (outcome.kind !== "answered") return outcome.kind === "failed";
  const { statusCode } = outcome;
  if (statusCode >= 200 && statusCode <= 299) return false;
  return statusCode !== 429 && statusCode !== 410 && !(statusCode === 503 && retryAfterMs !== null);
}
