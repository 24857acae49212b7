import { filterFromRow, isStillSubscribed } from "../../../domain/events/event-filter.ts";
import type { DeliveryColumns, Mark, MarkedDelivery, MarkedWatch } from "../../../domain/deliveries/marks.ts";
import type { DeliveryStatus } from "../../../domain/deliveries/delivery.ts";
import { eventOf, filterOf, flag, integer, integerOrNull, text } from "../rows.ts";
import type { Row } from "../rows.ts";
import { markOf as callMarkOf } from "../call-marks.ts";
import { goneBeforeEnding } from "../../../domain/calls/call-mark.ts";

/**
 * Columns for `markedDeliveryOf` and `isWantedOf`, from a delivery `d`, its event `e`, its newest attempt `a` and its watch
 * `w`, which may be missing.
 */
export const markedColumns = `d.id, d.account_id, d.endpoint_id, d.watch_id, d.sequence, d.event_position, d.created_at, d.status, d.lease_token, d.steps_spent,
  d.next_attempt_at, d.due_at, d.first_attempt_at, d.first_failed_at, d.settled_at, d.last_recovery, d.early_after, e.id as event_id, e.type as event_type, e.timestamp, e.data,
  a.started_at + a.duration_ms as last_ended_at, a.decision as last_decision,
  w.deleted_at as watch_deleted_at, w.endpoint_id = d.endpoint_id as to_watch, w.events`;

/** A delivery as `markedColumns` select it. */
export type MarkedRow = MarkedDelivery & DeliveryColumns & { readonly row: Row };

export function markedDeliveryOf(row: Row): MarkedRow {
  return {
    row,
    key: integer(row, "id"),
    endpointKey: integer(row, "endpoint_id"),
    watchKey: integerOrNull(row, "watch_id"),
    position: integer(row, "event_position"),
    createdAtMs: integer(row, "created_at"),
    status: text(row, "status") as DeliveryStatus,
    isLeased: row["lease_token"] !== null,
    isTest: row["event_type"] === "endpoint.test",
    isDeferred: row["last_decision"] === "deferred",
    lastAttemptEndedAtMs: integerOrNull(row, "last_ended_at"),
    isWatchDeleted: row["watch_deleted_at"] !== null && row["watch_deleted_at"] !== undefined,
    stepsSpent: integer(row, "steps_spent"),
    nextAttemptAtMs: integerOrNull(row, "next_attempt_at"),
    dueAtMs: integerOrNull(row, "due_at"),
    firstAttemptAtMs: integerOrNull(row, "first_attempt_at"),
    firstFailedAtMs: integerOrNull(row, "first_failed_at"),
    settledAtMs: integerOrNull(row, "settled_at"),
    lastRecovery: integerOrNull(row, "last_recovery"),
    earlyAfter: integerOrNull(row, "early_after"),
  };
}

/** Returns whether the watch of a delivery or a hook that `unhooked` keeps asked for its event. */
export function isWantedOf({ row }: MarkedRow, { detail }: Mark): boolean {
  const kept = (detail.filters ?? []).map(filterFromRow);
  return isStillSubscribed(eventOf(row), flag(row, "to_watch") ? filterOf(row) : null, kept);
}

/** Columns for `markedWatchOf`, from a watch `w` and its call `c`. */
export const markedWatchColumns = "w.id, w.endpoint_id, w.retirements, w.status, w.created_at, w.expires_at, w.spared_by, c.mark as c_mark";

/** Needs `markedWatchColumns`. */
export function markedWatchOf(row: Row): MarkedWatch {
  return {
    key: integer(row, "id"),
    endpointKey: integerOrNull(row, "endpoint_id"),
    retirements: integer(row, "retirements"),
    status: text(row, "status") as MarkedWatch["status"],
    goneBefore: goneBeforeOf(row),
  };
}

/** Needs `created_at`, `expires_at` and `spared_by` of a watch, and `c_mark` of its call. */
export function goneBeforeOf(row: Row): readonly number[] | null {
  if (row["c_mark"] === null) return null;
  const watch = { createdAtMs: integer(row, "created_at"), expiresAtMs: integer(row, "expires_at") };
  return goneBeforeEnding(watch, callMarkOf(row, "c_mark"), integerOrNull(row, "spared_by"));
}

/** Whether one of the marks of 410s in the array `gone` ended a watch whose row is active. Needs what `goneBeforeOf` needs. */
export function isGone(row: Row): boolean {
  const gone = row["gone"] as readonly number[];
  const before = gone.length === 0 ? null : goneBeforeOf(row);
  return before === null ? gone.length > 0 : gone.some((key) => before.includes(key));
}
