import { noSubject } from "../../../domain/events/event.ts";
import type { RingbackEvent } from "../../../domain/events/event.ts";
import { callOverdue, recipientsOf } from "../../../domain/events/operational-events.ts";
import type { OperationalEventDraft } from "../../../domain/events/operational-events.ts";
import { decodeId, newId } from "../../../domain/ids.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import type { OperationalStore } from "../../../ports/stores/service-store.ts";
import { isStillActive, overdueColumns, overdueWatchOf } from "../../sql/overdue-rows.ts";
import { filterOf, id, integer } from "../../sql/rows.ts";
import { mayUseSource } from "../../sql/source-access.ts";
import type { Database } from "../connection/database.ts";
import { goneMark } from "../marks/gone-watches.ts";
import { insertEvent } from "../deliveries/event-rows.ts";

export const writes = { publishOverdue, publishSourceEvent };

export type PublishedEvents = { readonly jobs: readonly SendJob[]; readonly notices: readonly Notice[] };

/** Writes one event, sent to the account's hooks that name its type. */
export function publishOperationalEvent(db: Database, draft: OperationalEventDraft): PublishedEvents {
  const { type, accountId, nowMs, data } = draft;
  const hooks = db
    .all("select endpoint_id, events from hooks where account_id = ? and disabled_at is null", decodeId(accountId))
    .map((row) => ({ endpointId: id(row, "ep", "endpoint_id"), filter: filterOf(row) }));
  const endpointIds = recipientsOf(draft, hooks);
  const event: RingbackEvent = { id: newId("evt", nowMs), accountId, timestampMs: nowMs, type, data };
  return {
    jobs: insertEvent(
      db,
      { event, watchId: null, callSid: data.subjectCallSid, sequence: null, terminal: false, trace: null },
      endpointIds,
      nowMs,
    ),
    notices: [{ accountId, watchId: null, callSid: data.subjectCallSid, sequence: null, eventType: type }],
  };
}

function publishSourceEvent(
  db: Database,
  event: Parameters<OperationalStore["publishSourceEvent"]>[0],
): Awaited<ReturnType<OperationalStore["publishSourceEvent"]>> {
  const { type, sourceName, state, reason, nowMs, afterAccountId, limit } = event;
  const { condition, values } = mayUseSource(sourceName, "?1");
  const accounts = db.all(
    `select a.id from accounts a where a.id > ?2 and (${condition}) order by a.id limit ?3`,
    values[0] ?? null,
    afterAccountId === null ? -1 : decodeId(afterAccountId),
    limit,
  );
  const data = { ...noSubject, source: sourceName, state, reason, observedAtMs: nowMs };
  const published = accounts.map((row) =>
    publishOperationalEvent(db, { type, accountId: id(row, "acc", "id"), exceptEndpointId: null, nowMs, data }),
  );
  const last = accounts.length < limit ? undefined : accounts.at(-1);
  return { ...joined(published), lastAccountId: last === undefined ? null : id(last, "acc", "id") };
}

function publishOverdue(
  db: Database,
  { registeredUntilMs, nowMs, limit }: Parameters<OperationalStore["publishOverdue"]>[0],
): Awaited<ReturnType<OperationalStore["publishOverdue"]>> {
  const rows = db.all(
    `select ${overdueColumns} from watches w indexed by watches_overdue join calls c on c.id = w.call_id
     where w.status = 'active' and w.overdue_at is null and w.created_at <= ? order by w.created_at limit ?`,
    registeredUntilMs,
    limit,
  );
  const keys = JSON.stringify(rows.map((row) => integer(row, "id")));
  db.run("update watches set overdue_at = ? where id in (select value from json_each(?))", nowMs, keys);
  const overdue = rows.filter((row) => isStillActive(row, goneMark(db, integer(row, "account_id"), row)));
  const published = overdue.map((row) => publishOperationalEvent(db, callOverdue(overdueWatchOf(row), nowMs)));
  return { ...joined(published), more: rows.length === limit };
}

function joined(published: readonly PublishedEvents[]): PublishedEvents {
  return { jobs: published.flatMap(({ jobs }) => jobs), notices: published.flatMap(({ notices }) => notices) };
}
