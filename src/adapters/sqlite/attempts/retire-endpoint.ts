import { encodeId } from "../../../domain/ids.ts";
import { canceledNoticeOf } from "../../sql/canceled-notices.ts";
import type { RetireResult } from "../../sql/canceled-notices.ts";
import { integer, integerOrNull } from "../../sql/rows.ts";
import { readWatchedCall } from "../calls/watched-calls.ts";
import type { Database } from "../connection/database.ts";
import { cancelPending } from "../deliveries/event-rows.ts";
import { goneBeforeOf, markedWatchColumns } from "../../sql/marks/marked-rows.ts";
import { cancelDeliveries, keysOf, readMarked } from "../marks/marked-deliveries.ts";
import { exceedsThreshold, isMarked, newestDelivery, newestPosition, remainingOf, setMark } from "../marks/set-mark.ts";
import { heldBy } from "../../sql/marks/new-mark.ts";

const nothing: RetireResult = { unwatchedCallIds: [], notices: [] };

/** Ends the endpoint after a 410: cancels its watches and pending deliveries and disables its hooks. Marks do it where the rows are many. */
export function retireEndpoint(db: Database, endpointKey: number, nowMs: number): RetireResult {
  const endpoint = db.get("update endpoints set retirements = retirements + 1 where id = ? returning account_id, retirements", endpointKey);
  if (endpoint === undefined) return nothing;
  const accountKey = integer(endpoint, "account_id");
  db.run("update hooks set disabled_at = ? where endpoint_id = ? and disabled_at is null", nowMs, endpointKey);
  const marked = isMarked(db, endpointKey);
  if (marked || exceedsThreshold(db, "select 1 from deliveries where endpoint_id = ? and status = 'pending'", endpointKey))
    markDeliveries(db, accountKey, endpointKey, nowMs);
  else cancelPending(db, "endpoint_id", endpointKey, nowMs);
  const active = "from watches where endpoint_id = ? and status = 'active'";
  if (!marked && !exceedsThreshold(db, `select 1 ${active}`, endpointKey)) return endWatches(db, endpointKey, nowMs);
  const counted = db.get(`select count(*) as n, max(id) as last ${active}`, endpointKey) ?? {};
  setMark(db, {
    kind: "gone_watches",
    accountKey,
    targetKey: endpointKey,
    lastKey: integerOrNull(counted, "last") ?? 0,
    remaining: integer(counted, "n") - remainingOf(db, "gone_watches", endpointKey) - countEnding(db, endpointKey),
    detail: { retirements: integer(endpoint, "retirements") },
    nowMs,
  });
  return nothing;
}

/** Counts the active watches of an endpoint that running marks of their calls end. */
function countEnding(db: Database, endpointKey: number): number {
  const ending = db.all(
    `select ${markedWatchColumns} from calls c indexed by calls_marked join watches w on w.call_id = c.id
     where c.mark is not null and w.endpoint_id = ? and w.status = 'active'`,
    endpointKey,
  );
  return ending.filter((row) => goneBeforeOf(row) !== null).length;
}

/** Ends the active watches, except those that the mark of their call has ended: these stay as they are shown. */
function endWatches(db: Database, endpointKey: number, nowMs: number): RetireResult {
  const watches = db
    .all(
      `select w.account_id, w.call_id, w.sequence, ${markedWatchColumns} from watches w join calls c on c.id = w.call_id
       where w.endpoint_id = ? and w.status = 'active'`,
      endpointKey,
    )
    .filter((row) => goneBeforeOf(row) === null);
  db.run(
    "update watches set status = 'canceled', end_reason = 'gone', ended_at = ? where id in (select value from json_each(?))",
    nowMs,
    JSON.stringify(watches.map((row) => integer(row, "id"))),
  );
  for (const row of watches) db.counters.countWatches(integer(row, "account_id"), "active", "canceled");
  const callKeys = [...new Set(watches.map((row) => integer(row, "call_id")))];
  return {
    unwatchedCallIds: callKeys.filter((callKey) => readWatchedCall(db, callKey) === null).map((callKey) => encodeId("call", callKey)),
    notices: watches.map(canceledNoticeOf),
  };
}

/** Cancels the leased deliveries, of which there are few, and sets a mark for the others. */
function markDeliveries(db: Database, accountKey: number, endpointKey: number, nowMs: number): void {
  const leased = keysOf(
    db,
    "select id from deliveries where endpoint_id = ? and lease_token is not null and status = 'pending'",
    endpointKey,
  );
  cancelDeliveries(db, readMarked(db, leased), nowMs);
  db.counters.write(db);
  const backlog = db.get("select unleased from endpoints where id = ?", endpointKey);
  setMark(db, {
    kind: "gone_deliveries",
    accountKey,
    targetKey: endpointKey,
    lastKey: newestDelivery(db, endpointKey),
    remaining: integer(backlog ?? {}, "unleased") - remainingOf(db, "gone_deliveries", endpointKey),
    detail: { position: newestPosition(db), held: heldBy("gone_deliveries", endpointKey) },
    nowMs,
  });
}
