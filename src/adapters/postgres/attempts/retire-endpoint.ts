import type { Notice } from "../../../ports/stores/call-store.ts";
import { integer, text } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { cancelPending } from "../deliveries/event-rows.ts";
import { isStatus } from "../reading/page.ts";
import { settleWatching } from "../calls/watched-calls.ts";

export type RetireResult = { readonly unwatchedCallIds: readonly string[]; readonly notices: readonly Notice[] };

/** Locks the calls and active watches of these endpoints, together with the watches of these deliveries in one lock order. */
export async function lockForRetiring(tx: Transaction, endpointIds: readonly string[], deliveryIds: readonly string[]): Promise<void> {
  const watches = `watches where endpoint_id = any($1) and ${isStatus("status", "active")}`;
  await Promise.all([
    tx.run(`select 1 from calls where id = any(array(select call_id from ${watches})) order by id for no key update`, endpointIds),
    tx.run(
      `select 1 from watches where id = any(array(select id from ${watches} union all select watch_id from deliveries where id = any($2)))
       order by id for no key update`,
      endpointIds,
      deliveryIds,
    ),
  ]);
}

/** Retires endpoints that answered 410: ends their watches, disables their hooks and cancels their deliveries. Returns the result by endpoint id. */
export async function retireEndpoints(
  tx: Transaction,
  endpointIds: readonly string[],
  nowMs: number,
): Promise<ReadonlyMap<string, RetireResult>> {
  const [watches] = await Promise.all([
    tx.all(
      `update watches set status = 'canceled', end_reason = 'gone', ended_at = $2 where endpoint_id = any($1) and ${isStatus("status", "active")}
       returning id, account_id, call_id, endpoint_id, sequence`,
      endpointIds,
      nowMs,
    ),
    tx.run("update hooks set disabled_at = $2 where endpoint_id = any($1) and disabled_at is null", endpointIds, nowMs),
    cancelPending(tx, "endpoint_id", endpointIds, nowMs),
  ]);
  const callIds = [...new Set(watches.map((row) => text(row, "call_id")))];
  tx.changed.add("watches").add("calls");
  const [, watched] = await Promise.all([
    settleWatching(tx, tx.token, callIds),
    tx.all("select id from calls where id = any($1) and watched", callIds),
  ]);
  const stillWatched = new Set(watched.map((row) => text(row, "id")));
  const byEndpoint = Map.groupBy(watches, (row) => text(row, "endpoint_id"));
  return new Map(
    endpointIds.map((endpointId) => {
      const ended = (byEndpoint.get(endpointId) ?? []).toSorted((a, b) => (text(a, "id") < text(b, "id") ? -1 : 1));
      return [
        endpointId,
        {
          unwatchedCallIds: [...new Set(ended.map((row) => text(row, "call_id")))].filter((callId) => !stillWatched.has(callId)),
          notices: ended.map((row) => ({
            accountId: text(row, "account_id"),
            watchId: text(row, "id"),
            sequence: integer(row, "sequence"),
            eventType: "watch.canceled",
          })),
        },
      ];
    }),
  );
}
