import type { DeliveryView, EndpointSummary, EndpointView, EventView, HookView, WatchView } from "../../ports/stores/read-store.ts";
import { watchThroughMark } from "./call-marks.ts";
import { encodeId } from "../../domain/ids.ts";
import {
  callStatusOf,
  deliveryOf,
  endpointOf,
  eventOf,
  filterOf,
  id,
  integer,
  integerOrNull,
  json,
  lastAttemptOf,
  text,
  textOrNull,
  watchOf,
} from "./rows.ts";
import type { Row } from "./rows.ts";
import { broughtForwardTo } from "../../domain/deliveries/bring-forward.ts";

// Maps the rows that `reading/selects.ts` of either database selects, under the same aliases, to the views of the port.

export function watchViewOf(row: Row): WatchView {
  return {
    watch: watchThroughMark(watchOf(row), row),
    call: callStatusOf({
      status: row["c_status"],
      reason: row["c_reason"],
      details: row["c_details"],
      terminal: row["c_terminal"],
      observed_at: row["c_observed_at"],
      last_good_poll_at: row["c_last_good_poll_at"],
    }),
    endpoint: row["endpoint_id"] === null ? null : summaryOf(row, id(row, "ep", "endpoint_id")),
    pendingDeliveries: integer(row, "pending_deliveries"),
  };
}

export function deliveryViewOf(row: Row): DeliveryView {
  const delivery = deliveryOf(row);
  return {
    delivery: { ...delivery, nextAttemptAtMs: asClientsSee(row, delivery.nextAttemptAtMs) },
    endpoint: summaryOf(row, id(row, "ep", "endpoint_id")),
    endpointUrl: text(row, "callback_url"),
    dueAtMs: asClientsSee(row, integerOrNull(row, "due_at")),
    blockedBySequence: integerOrNull(row, "blocked_by"),
    leased: row["lease_token"] !== null,
    lastAttempt: lastAttemptOf(row),
  };
}

/** Returns a time of a delivery, or that of the endpoint's last recovery if this brings a pending one forward. */
function asClientsSee(row: Row, timeMs: number | null): number | null {
  const earlyAfter = row["status"] === "pending" ? integerOrNull(row, "early_after") : null;
  const recoveries = { recoveries: integer(row, "p_recoveries"), recoveredAtMs: integerOrNull(row, "p_recovered_at") };
  return broughtForwardTo(timeMs, earlyAfter, recoveries);
}

export function endpointViewOf(row: Row): EndpointView {
  return {
    endpoint: endpointOf(row),
    hostPausedUntilMs: integerOrNull(row, "host_paused_until"),
    hostPausedSinceMs: integerOrNull(row, "host_paused_since"),
    hookIds: (json(row, "hook_ids") as readonly number[]).map((key) => encodeId("hk", key)),
    backlog: integer(row, "backlog"),
    oldestDueAtMs: integerOrNull(row, "oldest_due_at"),
  };
}

export function hookViewOf(row: Row): HookView {
  return {
    id: id(row, "hk", "id"),
    accountId: id(row, "acc", "account_id"),
    url: text(row, "callback_url"),
    filter: filterOf(row),
    endpoint: summaryOf(row, id(row, "ep", "endpoint_id")),
    createdAtMs: integer(row, "created_at"),
  };
}

export function summaryOf(row: Row, endpointId: string): EndpointSummary {
  return {
    id: endpointId,
    state: text(row, "p_state") as EndpointSummary["state"],
    reason: textOrNull(row, "p_reason") as EndpointSummary["reason"],
    format: text(row, "p_format") as EndpointSummary["format"],
    request: textOrNull(row, "p_request"),
    pausedUntilMs: integerOrNull(row, "p_paused_until"),
  };
}

export function eventViewOf(row: Row, deliveries: readonly Row[]): EventView {
  return {
    event: eventOf(row),
    deliveries: deliveries.map((delivery) => ({
      id: id(delivery, "dlv", "id"),
      endpointId: id(delivery, "ep", "endpoint_id"),
      status: text(delivery, "status") as DeliveryView["delivery"]["status"],
      attemptCount: integer(delivery, "attempt_count"),
      nextAttemptAtMs: asClientsSee(delivery, integerOrNull(delivery, "next_attempt_at")),
    })),
  };
}
