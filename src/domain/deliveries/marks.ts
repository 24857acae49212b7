import type { WatchStatus } from "../calls/watch.ts";
import type { DeliveryStatus } from "./delivery.ts";

/**
 * Kinds of work on many rows. Each is one row, the mark, that is written at once; the rest follows in portions. The target
 * of `watch_*` is a watch, of the last three the account, of all others an endpoint.
 *
 * - `gone_watches`, `gone_deliveries`: the endpoint answered 410.
 * - `enabled`: it left `disabled`, and what is pending starts again with a whole schedule.
 * - `resumed`: its pause ended, and what an answer deferred is due.
 * - `recovered`: what failed in a span is pending again, and what waits for its schedule is due.
 * - `unhooked`: one of its hooks was removed, and what only this hook asked for is canceled.
 * - `watch_deleted`, `watch_purged`: the watch was deleted; purged, its events are deleted with it.
 * - `calls_resumed`, `hosts_opened`: the account was enabled, so that its calls are polled and its deliveries are due again.
 * - `account_removed`: the account is erased with all its rows. Its other marks are dropped.
 */
export const markKinds = [
  "gone_watches",
  "gone_deliveries",
  "enabled",
  "resumed",
  "recovered",
  "unhooked",
  "watch_deleted",
  "watch_purged",
  "calls_resumed",
  "hosts_opened",
  "account_removed",
] as const;
export type MarkKind = (typeof markKinds)[number];

/** Kinds whose target is the account. They change no delivery and no watch, and go before the other marks of the account. */
export const accountKinds: ReadonlySet<MarkKind> = new Set(["calls_resumed", "hosts_opened", "account_removed"]);

/** Kinds during which no delivery of the endpoint may be claimed, because its rows still say what the mark has changed. */
export const holdingKinds: ReadonlySet<MarkKind> = new Set([
  "gone_deliveries",
  "enabled",
  // A requeued delivery goes ahead of later events of its lane.
  "recovered",
  "unhooked",
  "watch_deleted",
  "watch_purged",
]);

/** Facts of a mark beside its kind and its rows. Each kind has some of them. */
export type MarkDetail = {
  /** Position of the newest event that existed: deliveries of later events are not the mark's. */
  readonly position?: number;
  /** Number of times that the endpoint had answered 410: watches registered after the last one are not the mark's. */
  readonly retirements?: number;
  /** End of the pause that was ended (epoch ms). */
  readonly pausedUntilMs?: number;
  /** Span of a recovery (epoch ms), ends included. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** Stored filters of the hooks that the endpoint kept. */
  readonly filters?: readonly (string | null)[];
  /** Hold of the lanes of its deliveries, for reads in threads without a policy. */
  readonly orderHoldMs?: number;
  /** Keys of the endpoints that are held until the mark is carried out. */
  readonly held?: readonly number[];
};

/** Key of work that is done at once, by the same functions as a mark. */
export const atOnce = 0;

/** A mark as it is stored. Keys are integers inside the stores. */
export type Mark = {
  readonly key: number;
  readonly kind: MarkKind;
  readonly accountKey: number;
  readonly targetKey: number;
  /** The mark holds for rows up to this key. */
  readonly lastKey: number;
  /** Rows up to this key are done. */
  readonly doneKey: number;
  /** Number of rows that it settles and that the counters still count as they were. */
  readonly remaining: number;
  readonly detail: MarkDetail;
  /** Time at which its effect took place (epoch ms). */
  readonly createdAtMs: number;
};

/** Part of a delivery that marks read and change. */
export type MarkedDelivery = {
  readonly key: number;
  readonly endpointKey: number;
  readonly watchKey: number | null;
  readonly position: number;
  readonly createdAtMs: number;
  readonly status: DeliveryStatus;
  readonly isLeased: boolean;
  readonly isTest: boolean;
  /** Whether the last attempt was deferred by its answer. */
  readonly isDeferred: boolean;
  readonly lastAttemptEndedAtMs: number | null;
  readonly isWatchDeleted: boolean;
  readonly nextAttemptAtMs: number | null;
};

/** Change that a mark makes to a delivery, at the time of the mark. */
export type MarkEffect = "none" | "cancel" | "requeue" | "hurry" | "purge";

const recoverable: ReadonlySet<DeliveryStatus> = new Set(["exhausted", "failed", "expired"]);

/** Statuses of the deliveries that a mark may change. */
export function statusesOf(kind: MarkKind): readonly DeliveryStatus[] {
  return kind === "recovered" ? ["pending", ...recoverable] : ["pending"];
}

/**
 * Returns what a mark does to a delivery that it has not reached yet. `isWanted` returns for `unhooked` whether the watch or
 * one of the remaining hooks asked for the event.
 */
export function effectOn(delivery: MarkedDelivery, mark: Mark, isWanted: (mark: Mark) => boolean): MarkEffect {
  if (!covers(mark, delivery)) return "none";
  const isPending = delivery.status === "pending";
  switch (mark.kind) {
    case "gone_watches":
    case "calls_resumed":
    case "hosts_opened":
    case "account_removed":
      return "none";
    case "watch_purged":
      return "purge";
    case "gone_deliveries":
    case "watch_deleted":
      return isPending ? "cancel" : "none";
    case "unhooked":
      return isPending && !delivery.isTest && !isWanted(mark) ? "cancel" : "none";
    case "enabled":
      return isPending && delivery.nextAttemptAtMs !== null ? "requeue" : "none";
    case "resumed":
      return isPending && delivery.isDeferred && isWaiting(delivery, mark, mark.detail.pausedUntilMs) ? "hurry" : "none";
    case "recovered":
      return effectOfRecovery(delivery, mark);
  }
}

/** Returns the recovery of a span as a mark that is carried out at once. */
export function recoveryAtOnce(
  { accountKey, targetKey }: Pick<Mark, "accountKey" | "targetKey">,
  { sinceMs, untilMs, nowMs }: { readonly sinceMs: number; readonly untilMs: number; readonly nowMs: number },
): Mark {
  const rows = { lastKey: Infinity, doneKey: -1, remaining: 0 };
  return { key: atOnce, kind: "recovered", accountKey, targetKey, ...rows, detail: { sinceMs, untilMs }, createdAtMs: nowMs };
}

/** Counts what a recovery makes pending again and what it makes due. */
export function countRecovery(deliveries: readonly MarkedDelivery[], mark: Mark): { readonly recovered: number; readonly hurried: number } {
  const effects = deliveries.map((delivery) => effectOn(delivery, mark, () => true));
  return {
    recovered: effects.filter((effect) => effect === "requeue").length,
    hurried: effects.filter((effect) => effect === "hurry").length,
  };
}

function effectOfRecovery(delivery: MarkedDelivery, mark: Mark): MarkEffect {
  const { sinceMs = 0, untilMs = 0 } = mark.detail;
  const { isLeased, isTest, isWatchDeleted, createdAtMs } = delivery;
  if (isLeased || isTest || isWatchDeleted || createdAtMs < sinceMs || createdAtMs > untilMs) return "none";
  if (recoverable.has(delivery.status)) return wasAttemptedSince(delivery, mark) ? "none" : "requeue";
  return delivery.status === "pending" && isWaiting(delivery, mark) ? "hurry" : "none";
}

/** Whether the delivery has waited since before the mark for a time after it. */
function isWaiting(delivery: MarkedDelivery, mark: Mark, untilMs = Infinity): boolean {
  const { nextAttemptAtMs } = delivery;
  if (nextAttemptAtMs === null || wasAttemptedSince(delivery, mark)) return false;
  return nextAttemptAtMs > mark.createdAtMs && nextAttemptAtMs <= untilMs;
}

/** Whether an attempt ended after the mark was set: its result is not the mark's to change. */
function wasAttemptedSince({ lastAttemptEndedAtMs }: MarkedDelivery, { key, createdAtMs }: Mark): boolean {
  return key !== atOnce && lastAttemptEndedAtMs !== null && lastAttemptEndedAtMs > createdAtMs;
}

/** Whether the delivery existed when the mark was set and was not reached yet. */
function covers(mark: Mark, { key, position, endpointKey, watchKey }: MarkedDelivery): boolean {
  if (key <= mark.doneKey || key > mark.lastKey || position > (mark.detail.position ?? Infinity)) return false;
  return mark.targetKey === (isAboutWatch(mark.kind) ? watchKey : endpointKey);
}

/** Whether the target of a mark is a watch. */
export function isAboutWatch(kind: MarkKind): boolean {
  return kind === "watch_deleted" || kind === "watch_purged";
}

/** Columns of a delivery that marks change. */
export type DeliveryColumns = {
  readonly status: DeliveryStatus;
  readonly stepsSpent: number;
  readonly nextAttemptAtMs: number | null;
  readonly dueAtMs: number | null;
  readonly firstAttemptAtMs: number | null;
  readonly firstFailedAtMs: number | null;
  readonly settledAtMs: number | null;
  /** Recoveries of the endpoint at the last failure; `null` if no recovery may bring the delivery forward. */
  readonly lastRecovery: number | null;
  /** The same number while the delivery may be claimed early; `null` behind another one of its lane. */
  readonly earlyAfter: number | null;
};

/**
 * Returns how a delivery looks through the running marks above it, in the order in which they were set; `null` if one purged
 * it. A mark changes what the one before left.
 */
export function deliveryThrough<Delivery extends MarkedDelivery & DeliveryColumns>(
  delivery: Delivery,
  marks: readonly Mark[],
  isWanted: (mark: Mark) => boolean,
): Delivery | null {
  let seen = delivery;
  for (const mark of marks) {
    const effect = effectOn(seen, mark, isWanted);
    if (effect === "purge") return null;
    if (effect !== "none") seen = Object.assign({}, seen, changesOf(effect, seen, mark.createdAtMs));
  }
  return seen;
}

function changesOf(effect: MarkEffect, { status, dueAtMs }: DeliveryColumns, atMs: number): Partial<DeliveryColumns> {
  switch (effect) {
    case "none":
    case "purge":
      return {};
    case "cancel":
      return { status: "canceled", settledAtMs: atMs, nextAttemptAtMs: null, dueAtMs: null };
    case "hurry":
      return { nextAttemptAtMs: atMs, dueAtMs: dueAtMs === null ? null : atMs };
    case "requeue":
      return {
        status: "pending",
        stepsSpent: 0,
        nextAttemptAtMs: atMs,
        // A pending delivery without a due time waits for an earlier one of its lane.
        dueAtMs: status === "pending" && dueAtMs === null ? null : atMs,
        firstAttemptAtMs: null,
        firstFailedAtMs: null,
        settledAtMs: null,
        lastRecovery: null,
        earlyAfter: null,
      };
  }
}

/** Part of a watch that marks read and change. */
export type MarkedWatch = {
  readonly key: number;
  readonly endpointKey: number | null;
  /** Number of times that its endpoint had answered 410 when it was registered. */
  readonly retirements: number;
  readonly status: WatchStatus;
  /** Keys of the marks of 410s that come before its ending by a mark of its call; `null` if no such mark ended it. */
  readonly goneBefore: readonly number[] | null;
};

/** Returns the mark of the 410 that ended a watch whose row is still active; `null` if there is none. */
export function goneMarkOf({ key, endpointKey, retirements, status, goneBefore }: MarkedWatch, marks: readonly Mark[]): Mark | null {
  if (status !== "active") return null;
  return (
    marks.find(
      (mark) =>
        mark.kind === "gone_watches" &&
        mark.targetKey === endpointKey &&
        key > mark.doneKey &&
        key <= mark.lastKey &&
        retirements < (mark.detail.retirements ?? 0) &&
        (goneBefore === null || goneBefore.includes(mark.key)),
    ) ?? null
  );
}
