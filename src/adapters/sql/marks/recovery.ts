import { leastKeyAt } from "../../../domain/ids.ts";
import type { DeliveryStore } from "../../../ports/stores/delivery-store.ts";

export type RecoverRequest = Parameters<DeliveryStore["recover"]>[0];

type KeySelect = { readonly sql: string; readonly values: readonly number[] };

/**
 * Returns the selects of the deliveries that a recovery may change: those that failed, from the first key of the
 * span on (keys may be ahead of the clock, never behind it), and those that wait for their schedule. Each reads at most `limit` entries of an index, and may find rows that are
 * no part of the span.
 */
export function recoveryKeys({
  endpointKey,
  sinceMs,
  nowMs,
  limit,
}: Pick<RecoverRequest, "sinceMs" | "nowMs"> & { readonly endpointKey: number; readonly limit: number }): {
  readonly failed: KeySelect;
  readonly waiting: KeySelect;
} {
  const ranges = ["exhausted", "failed", "expired"].map(
    (status) =>
      `select * from (select id from deliveries where endpoint_id = ?1 and status = '${status}' and id >= ?2
         order by endpoint_id, status, id limit ?3) of_${status}`,
  );
  return {
    failed: {
      sql: `select id from (${ranges.join(" union all ")}) found limit ?3`,
      values: [endpointKey, leastKeyAt(sinceMs), limit],
    },
    waiting: {
      sql: `select id from deliveries where endpoint_id = ?1 and status = 'pending' and lease_token is null and due_at is not null and due_at > ?2
              order by endpoint_id, due_at limit ?3`,
      values: [endpointKey, nowMs, limit],
    },
  };
}
