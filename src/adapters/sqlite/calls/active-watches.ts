import type { CallStatus } from "../../../domain/calls/call.ts";
import type { SubscriberWatch } from "../../../domain/calls/transition.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import { encodeId } from "../../../domain/ids.ts";
import { filterFromRow } from "../../../domain/events/event-filter.ts";
import type { WatchedCall } from "../../../ports/stores/call-store.ts";
import { scopeOf } from "../../sql/rows.ts";
import type { ArrayRow, Database } from "../connection/database.ts";

export type ActiveWatch = SubscriberWatch & Pick<Watch, "createdAtMs">;

/** A call with its active watches, oldest first. */
export type CallWithWatches = {
  readonly call: Pick<WatchedCall, "callId" | "sourceName" | "callSid" | "scope" | "createdAtMs">;
  readonly status: CallStatus;
  readonly version: number;
  /** Number of the last transition. */
  readonly transition: number;
  readonly watches: readonly ActiveWatch[];
};

type CallColumns = readonly [
  sourceName: string,
  callSid: string,
  scope: number,
  status: string | null,
  reason: string,
  terminal: number,
  observedAt: number | null,
  lastGoodPollAt: number | null,
  version: number,
  transitions: number,
  createdAt: number,
];
const callColumns = 11;
type WatchColumns = readonly [
  key: number,
  accountKey: number,
  endpointKey: number | null,
  events: string | null,
  metadata: string,
  sequence: number,
  createdAt: number,
  expiresAt: number,
];

// One statement for both, because every transition needs them.
const select = `
  select c.source_name, c.call_sid, c.scope, c.status, c.reason, c.terminal, c.observed_at, c.last_good_poll_at, c.version, c.transitions, c.created_at,
    w.id, w.account_id, w.endpoint_id, w.events, w.metadata, w.sequence, w.created_at, w.expires_at
  from calls c left join watches w on w.call_id = c.id and w.status = 'active' where c.id = ? order by w.id`;

/** Reads a call with its active watches, in the transaction that writes their events; `null` if there is no such call. */
export function readCallWithWatches(db: Database, callKey: number): CallWithWatches | null {
  const rows = db.allArrays(select, callKey);
  const [first] = rows;
  if (first === undefined) return null;
  const [sourceName, callSid, scope, status, reason, terminal, observedAtMs, lastGoodPollAtMs, version, transition, createdAtMs] =
    first as unknown as CallColumns;
  const isWatched = first[callColumns] !== null;
  return {
    call: { callId: encodeId("call", callKey), sourceName, callSid, scope: scopeOf({ scope }), createdAtMs },
    status: { status, reason, terminal: terminal === 1, observedAtMs, lastGoodPollAtMs },
    version,
    transition,
    watches: isWatched ? rows.map((row) => watchOf(row, sourceName, callSid)) : [],
  };
}

function watchOf(row: ArrayRow, sourceName: string, callSid: string): ActiveWatch {
  const [key, accountKey, endpointKey, events, metadata, sequence, createdAtMs, expiresAtMs] = row.slice(
    callColumns,
  ) as unknown as WatchColumns;
  return {
    id: encodeId("wch", key),
    accountId: encodeId("acc", accountKey),
    sourceName,
    callSid,
    endpointId: endpointKey === null ? null : encodeId("ep", endpointKey),
    filter: filterFromRow(events),
    metadata: JSON.parse(metadata) as Watch["metadata"],
    sequence,
    createdAtMs,
    expiresAtMs,
  };
}
