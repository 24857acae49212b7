import { integer, integerOrNull } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { cancelPending } from "../deliveries/event-rows.ts";
import { isLeased } from "../marks/marked-deliveries.ts";
import { endpointMark, exceedsThreshold, needsMark, remainingOf, setMark } from "../marks/set-mark.ts";
import { heldBy } from "../../sql/marks/new-mark.ts";
import { goneBeforeOf, markedWatchColumns } from "../../sql/marks/marked-rows.ts";
import { isStatus } from "../reading/page.ts";
import { retireResultOf, settleCalls } from "./ended-watches.ts";
import type { RetireResult } from "../../sql/canceled-notices.ts";

const active = "from watches where (endpoint_id, status) = ($1, 'active')";

/**
 * Locks the calls and active watches of these endpoints, together with the watches of these deliveries in one lock order.
 * Returns the endpoints that have too many rows for that: marks retire them.
 */
export async function lockForRetiring(
  tx: Transaction,
  endpointKeys: readonly number[],
  deliveryKeys: readonly number[],
): Promise<ReadonlySet<number>> {
  const marked = new Set<number>();
  for (const endpointKey of endpointKeys)
    if ((await needsMark(tx, endpointKey)) || (await exceedsThreshold(tx, `select 1 ${active}`, endpointKey))) marked.add(endpointKey);
  const few = endpointKeys.filter((key) => !marked.has(key));
  const watches = `watches where endpoint_id = any($1) and ${isStatus("status", "active")}`;
  await Promise.all([
    tx.run(`select 1 from calls where id = any(array(select call_id from ${watches})) order by id for no key update`, few),
    tx.run(
      `select 1 from watches where id = any(array(select id from ${watches} union all select watch_id from deliveries where id = any($2)))
       order by id for no key update`,
      few,
      deliveryKeys,
    ),
  ]);
  return marked;
}

/**
 * Retires endpoints that answered 410: ends their watches, disables their hooks and cancels their deliveries, by marks for
 * those of `marked`. Returns the result by the endpoint's key.
 */
export async function retireEndpoints(
  tx: Transaction,
  goneKeys: readonly number[],
  marked: ReadonlySet<number>,
  nowMs: number,
): Promise<ReadonlyMap<number, RetireResult>> {
  const endpointKeys = goneKeys.filter((key) => !marked.has(key));
  // Watches that the mark of their call has ended keep the state in which they are shown.
  const ending = await endingKeys(tx, endpointKeys);
  const [watches] = await Promise.all([
    tx.all(
      `update watches set status = 'canceled', end_reason = 'gone', ended_at = $2
       where endpoint_id = any($1) and ${isStatus("status", "active")} and id <> all($3)
       returning id, account_id, call_id, endpoint_id, sequence`,
      endpointKeys,
      nowMs,
      ending,
    ),
    tx.run("update hooks set disabled_at = $2 where endpoint_id = any($1) and disabled_at is null", goneKeys, nowMs),
    tx.run("update endpoints set retirements = retirements + 1 where id = any($1)", goneKeys),
    cancelPending(tx, "endpoint_id", endpointKeys, nowMs),
  ]);
  const stillWatched = await settleCalls(tx, watches);
  for (const endpointKey of goneKeys) if (marked.has(endpointKey)) await markRetired(tx, endpointKey, nowMs);
  const byEndpoint = Map.groupBy(watches, (row) => integer(row, "endpoint_id"));
  return new Map(goneKeys.map((endpointKey) => [endpointKey, retireResultOf(byEndpoint.get(endpointKey) ?? [], stillWatched)]));
}

/** Returns the active watches of these endpoints that running marks of their calls end. */
async function endingKeys(tx: Transaction, endpointKeys: readonly number[]): Promise<readonly number[]> {
  if (endpointKeys.length === 0) return [];
  const rows = await tx.all(
    `select ${markedWatchColumns} from calls c join watches w on w.call_id = c.id
     where c.mark is not null and w.endpoint_id = any($1) and ${isStatus("w.status", "active")}`,
    endpointKeys,
  );
  return rows.filter((row) => goneBeforeOf(row) !== null).map((row) => integer(row, "id"));
}

/** Cancels the leased deliveries, of which there are few, and sets marks for the other rows. */
async function markRetired(tx: Transaction, endpointKey: number, nowMs: number): Promise<void> {
  await tx.run(
    `update deliveries set status = 'canceled', settled_at = $2, next_attempt_at = null, due_at = null, retry_accepted_at = null
     where ${isLeased} and (endpoint_id + 0) = $1 and ${isStatus("status", "pending")}`,
    endpointKey,
    nowMs,
  );
  const [mark, endpoint, counted, backlog, deliveriesBefore, watchesBefore, ending] = await Promise.all([
    endpointMark(tx, endpointKey, nowMs),
    tx.get("select retirements from endpoints where id = $1", endpointKey),
    tx.get(`select count(*) as n, max(id) as last ${active}`, endpointKey),
    tx.get(
      `select coalesce(sum(n), 0) as n from (select n from counts where owner_id = $1 and what = 'unleased'
         union all select n from count_changes where owner_id = $1 and what = 'unleased') c`,
      endpointKey,
    ),
    remainingOf(tx, "gone_deliveries", endpointKey),
    remainingOf(tx, "gone_watches", endpointKey),
    endingKeys(tx, [endpointKey]),
  ]);
  await setMark(tx, {
    ...mark,
    kind: "gone_deliveries",
    remaining: integer(backlog ?? {}, "n") - deliveriesBefore,
    detail: { ...mark.detail, held: heldBy("gone_deliveries", endpointKey) },
  });
  await setMark(tx, {
    ...mark,
    kind: "gone_watches",
    lastKey: integerOrNull(counted ?? {}, "last") ?? 0,
    remaining: integer(counted ?? {}, "n") - watchesBefore - ending.length,
    detail: { retirements: integer(endpoint ?? {}, "retirements") },
  });
}
