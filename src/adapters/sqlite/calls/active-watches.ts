import type { CallMark } from "../../../domain/calls/call-mark.ts";
import type { CallStatus } from "../../../domain/calls/call.ts";
import type { SubscriberWatch } from "../../../domain/calls/transition.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import { decodeId, encodeId } from "../../../domain/ids.ts";
import { filterFromRow } from "../../../domain/events/event-filter.ts";
import type { WatchedCall } from "../../../ports/stores/call-store.ts";
import { id, integer, scopeOf } from "../../sql/rows.ts";
import { markedWatchColumns } from "../../sql/marks/marked-rows.ts";
import { goneMark } from "../marks/gone-watches.ts";
import { hasMarks } from "../marks/set-mark.ts";
import type { ArrayRow, Database } from "../connection/database.ts";

/** An active watch. `sparedBy` is the version of the mark that ran when it was registered; `null` if none did. */
export type ActiveWatch = SubscriberWatch & Pick<Watch, "createdAtMs"> & { readonly sparedBy: number | null };

/** A call with its oldest active watches. */
export type CallWithWatches = {
  readonly call: Pick<WatchedCall, "callId" | "sourceName" | "callSid" | "scope" | "createdAtMs">;
  readonly status: CallStatus;
  readonly version: number;
  /** Number of the last transition. */
  readonly transition: number;
  readonly mark: CallMark | null;
  /** Key of the oldest watch that was registered while the known status was not current; `null` if none waits for it. */
  readonly unnotifiedFrom: number | null;
  /** At most as many as were asked for, oldest first. */
  readonly watches: readonly ActiveWatch[];
};

type CallColumns = readonly [
  sourceName: string,
  callSid: string,
  scope: number,
  status: string | null,
  reason: string,
  details: string | null,
  terminal: number,
  observedAt: number | null,
  lastGoodPollAt: number | null,
  version: number,
  transitions: number,
  createdAt: number,
  mark: string | null,
  unnotifiedFrom: number | null,
];
const callColumns = 14;
type WatchColumns = readonly [
  key: number,
  accountKey: number,
  endpointKey: number | null,
  events: string | null,
  metadata: string,
  trace: string | null,
  sequence: number,
  createdAt: number,
  expiresAt: number,
  sparedBy: number | null,
];

const watchColumns =
  "w.id, w.account_id, w.endpoint_id, w.events, w.metadata, w.trace, w.sequence, w.created_at, w.expires_at, w.spared_by";

/**
 * One statement for both, because every transition needs them. The limit is a literal, because SQLite prepares a statement again
 * for every value that it binds to a limit, which costs 25 us.
 */
const selectWith = (limit: number) => `
  select c.source_name, c.call_sid, c.scope, c.status, c.reason, c.details, c.terminal, c.observed_at, c.last_good_poll_at, c.version, c.transitions, c.created_at,
    c.mark, c.unnotified_from, ${watchColumns}
  from calls c left join watches w indexed by watches_active on w.call_id = c.id and w.status = 'active' where c.id = ? order by w.id limit ${limit}`;

/**
 * Reads a call with at most `limit` of its active watches, in the transaction that writes their events; `null` if there is
 * no such call. With `limit` 0 it reads the call alone.
 */
export function readCallWithWatches(db: Database, callKey: number, limit: number): CallWithWatches | null {
  const rows = db.allArrays(selectWith(Math.max(1, limit)), callKey);
  const [first] = rows;
  if (first === undefined) return null;
  const [
    sourceName,
    callSid,
    scope,
    status,
    reason,
    details,
    terminal,
    observedAtMs,
    lastGoodPollAtMs,
    version,
    transition,
    createdAtMs,
    mark,
    from,
  ] = first as unknown as CallColumns;
  const isWatched = first[callColumns] !== null && limit > 0;
  return {
    call: { callId: encodeId("call", callKey), sourceName, callSid, scope: scopeOf({ scope }), createdAtMs },
    status: { status, reason, details, terminal: terminal === 1, observedAtMs, lastGoodPollAtMs },
    version,
    transition,
    mark: mark === null ? null : (JSON.parse(mark) as CallMark),
    unnotifiedFrom: from,
    watches: isWatched ? rows.map((row) => watchOf(row.slice(callColumns), sourceName, callSid)) : [],
  };
}

/** Reads active watches of a call by one of their indexes. `condition` is on `w`, behind that on the call. */
export function readWatchesBy(
  db: Database,
  { sourceName, callSid }: Pick<WatchedCall, "sourceName" | "callSid">,
  index: "watches_active" | "watches_active_of_account" | "watches_deadlines",
  condition: string,
  ...values: readonly number[]
): readonly ActiveWatch[] {
  const sql = `select ${watchColumns} from watches w indexed by ${index} where w.call_id = ? and w.status = 'active' and ${condition} limit ?`;
  return db.allArrays(sql, ...values).map((row) => watchOf(row, sourceName, callSid));
}

/** Leaves out watches that the mark of a 410 has ended. Costs nothing while no mark runs. */
export function withoutGone(db: Database, watches: readonly ActiveWatch[]): readonly ActiveWatch[] {
  if (watches.length === 0 || !hasMarks(db)) return watches;
  const rows = db.all(
    `select w.account_id, ${markedWatchColumns} from watches w join calls c on c.id = w.call_id where w.id in (select value from json_each(?))`,
    JSON.stringify(watches.map(({ id }) => decodeId(id))),
  );
  const gone = new Set(rows.filter((row) => goneMark(db, integer(row, "account_id"), row) !== null).map((row) => id(row, "wch", "id")));
  return watches.filter((watch) => !gone.has(watch.id));
}

/** Takes the endpoint from watches whose endpoint answered 410 since they were registered: nothing is sent there. */
export function withoutRetired(db: Database, watches: readonly ActiveWatch[]): readonly ActiveWatch[] {
  if (watches.length === 0) return watches;
  const rows = db.all(
    `select w.id from watches w join endpoints p on p.id = w.endpoint_id
     where w.id in (select value from json_each(?)) and p.retirements > w.retirements`,
    JSON.stringify(watches.map(({ id }) => decodeId(id))),
  );
  const retired = new Set(rows.map((row) => id(row, "wch", "id")));
  return retired.size === 0 ? watches : watches.map((watch) => (retired.has(watch.id) ? { ...watch, endpointId: null } : watch));
}

function watchOf(row: ArrayRow, sourceName: string, callSid: string): ActiveWatch {
  const [key, accountKey, endpointKey, events, metadata, trace, sequence, createdAtMs, expiresAtMs, sparedBy] =
    row as unknown as WatchColumns;
  return {
    id: encodeId("wch", key),
    accountId: encodeId("acc", accountKey),
    sourceName,
    callSid,
    endpointId: endpointKey === null ? null : encodeId("ep", endpointKey),
    filter: filterFromRow(events),
    metadata: JSON.parse(metadata) as Watch["metadata"],
    trace,
    sequence,
    createdAtMs,
    expiresAtMs,
    sparedBy,
  };
}
