import type { Notice } from "../../../ports/stores/call-store.ts";
import { id, integer } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { cancelPending } from "../deliveries/event-rows.ts";
import { isStatus } from "../reading/page.ts";
import { settleWatching } from "../calls/watched-calls.ts";

export type RetireResult = { readonly unwatchedCallIds: readonly string[]; readonly notices: readonly Notice[] };

/** Locks the calls and active watches of these endpoints, together with the watches of these deliveries in one lock order. */
export async function lockForRetiring(tx: Transaction, endpointKeys: readonly number[], deliveryKeys: readonly number[]): Promise<void> {
  const watches = `watches where endpoint_id = any($1) and ${isStatus("status", "active")}`;
  await Promise.all([
    tx.run(`select 1 from calls where id = any(array(select call_id from ${watches})) order by id for no key update`, endpointKeys),
    tx.run(
      `select 1 from watches where id = any(array(select id from ${watches} union all select watch_id from deliveries where id = any($2)))
       order by id for no key update`,
      endpointKeys,
      deliveryKeys,
    ),
  ]);
}

/** Retires endpoints that answered 410: ends their watches, disables their hooks and cancels their deliveries. Returns the result by the endpoint's key. */
export async function retireEndpoints(
  tx: Transaction,
  endpointKeys: readonly number[],
  nowMs: number,
): Promise<ReadonlyMap<number, RetireResult>> {
  const [watches] = await Promise.all([
    tx.all(
      `update watches set status = 'canceled', end_reason = 'gone', ended_at = $2 where endpoint_id = any($1) and ${isStatus("status", "active")}
       returning id, account_id, call_id, endpoint_id, sequence`,
      endpointKeys,
      nowMs,
    ),
    tx.run("update hooks set disabled_at = $2 where endpoint_id = any($1) and disabled_at is null", endpointKeys, nowMs),
    cancelPending(tx, "endpoint_id", endpointKeys, nowMs),
  ]);
  const callKeys = [...new Set(watches.map((row) => integer(row, "call_id")))];
  tx.changed.add("watches").add("calls");
  const [, watched] = await Promise.all([
    settleWatching(tx, tx.token, callKeys),
    tx.all("select id from calls where id = any($1) and watched", callKeys),
  ]);
  const stillWatched = new Set(watched.map((row) => integer(row, "id")));
  const byEndpoint = Map.groupBy(watches, (row) => integer(row, "endpoint_id"));
  return new Map(
    endpointKeys.map((endpointKey) => {
      const ended = (byEndpoint.get(endpointKey) ?? []).toSorted((a, b) => integer(a, "id") - integer(b, "id"));
      return [
        endpointKey,
        {
          unwatchedCallIds: [
            ...new Set(ended.filter((row) => !stillWatched.has(integer(row, "call_id"))).map((row) => id(row, "call", "call_id"))),
          ],
          notices: ended.map((row) => ({
            accountId: id(row, "acc", "account_id"),
            watchId: id(row, "wch", "id"),
            callSid: null,
            sequence: integer(row, "sequence"),
            eventType: "watch.canceled",
          })),
        },
      ];
    }),
  );
}
