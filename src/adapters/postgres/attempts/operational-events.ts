import { mayUseSource } from "../../sql/source-access.ts";
import { noSubject } from "../../../domain/events/event.ts";
import { decodeId, newId } from "../../../domain/ids.ts";
import type { EventFilter } from "../../../domain/events/event-filter.ts";
import { callOverdue, recipientsOf } from "../../../domain/events/operational-events.ts";
import type { OperationalEventDraft } from "../../../domain/events/operational-events.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import type { OperationalStore } from "../../../ports/stores/service-store.ts";
import { goneMarkOf } from "../../../domain/deliveries/marks.ts";
import { markedWatchOf } from "../../sql/marks/marked-rows.ts";
import { isStillActive, overdueColumns, overdueWatchOf } from "../../sql/overdue-rows.ts";
import { filterOf, id, integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import type { Transaction } from "../connection/transaction.ts";
import { runningMarks } from "../marks/set-mark.ts";
import { unindexedKey } from "../reading/page.ts";
import { insertEvents } from "../deliveries/event-rows.ts";
import type { NewEvent } from "../deliveries/event-rows.ts";

export const ownerWrites = { publishSourceEvent };
export const composites = { publishOverdue };

/** Inserts one event about a source for each of the next accounts that may use it. */
async function publishSourceEvent(
  tx: Transaction,
  token: number,
  event: Parameters<OperationalStore["publishSourceEvent"]>[0],
): ReturnType<OperationalStore["publishSourceEvent"]> {
  const { type, sourceName, state, reason, nowMs, afterAccountId, limit } = event;
  const { condition, values } = mayUseSource(sourceName, "$3");
  const accounts = await tx.all(
    `select a.id from accounts a where a.id > $1 and (${condition}) order by a.id limit $2`,
    afterAccountId === null ? -1 : decodeId(afterAccountId),
    limit,
    ...values,
  );
  const data = { ...noSubject, source: sourceName, state, reason, observedAtMs: nowMs };
  const drafts = accounts.map((row) => ({ type, accountId: id(row, "acc", "id"), exceptEndpointId: null, nowMs, data }));
  const last = accounts.length < limit ? undefined : accounts.at(-1);
  return { ...(await publishOperationalEvents(tx, token, drafts)), lastAccountId: last === undefined ? null : id(last, "acc", "id") };
}

const overdueWatches = "from watches where status = 'active' and overdue_at is null and created_at <= $1 order by created_at limit";

/**
 * Inserts one event for each watch that has become overdue. Other instances take other watches at the same time. A sweep that
 * finds none costs one statement.
 */
async function publishOverdue(
  db: Database,
  request: Parameters<OperationalStore["publishOverdue"]>[0],
): ReturnType<OperationalStore["publishOverdue"]> {
  if ((await db.get(`select 1 ${overdueWatches} 1`, request.registeredUntilMs)) === undefined)
    return { jobs: [], notices: [], more: false };
  return db.ownerTransaction((tx, token) => publishLocked(tx, token, request));
}

async function publishLocked(
  tx: Transaction,
  token: number,
  { registeredUntilMs, nowMs, limit }: Parameters<OperationalStore["publishOverdue"]>[0],
): ReturnType<OperationalStore["publishOverdue"]> {
  const locked = await tx.all(`select id ${overdueWatches} $2 for no key update skip locked`, registeredUntilMs, limit);
  if (locked.length === 0) return { jobs: [], notices: [], more: false };
  const keys = locked.map((row) => integer(row, "id"));
  const [, rows] = await Promise.all([
    tx.run("update watches set overdue_at = $2 where id = any($1)", keys, nowMs),
    tx.all(`select ${overdueColumns} from watches w join calls c on c.id = w.call_id where w.id = any($1) order by w.id`, keys),
  ]);
  const drafts = [];
  for (const row of rows) {
    const gone = goneMarkOf(markedWatchOf(row), await runningMarks(tx, integer(row, "account_id")));
    if (isStillActive(row, gone)) drafts.push(callOverdue(overdueWatchOf(row), nowMs));
  }
  return { ...(await publishOperationalEvents(tx, token, drafts)), more: locked.length === limit };
}

export type AccountHook = { readonly id: string; readonly accountId: string; readonly endpointId: string; readonly filter: EventFilter };

/** Locks and reads every hook of these accounts, so that none is removed while it is notified. `toChange` locks them for an update. */
export async function lockAccountHooks(
  tx: Transaction,
  accountKeys: readonly number[],
  { toChange }: { readonly toChange: boolean },
): Promise<readonly AccountHook[]> {
  const rows = await tx.all(
    `select id, account_id, endpoint_id, events from hooks where account_id = any($1) and disabled_at is null order by ${unindexedKey("id")} for ${toChange ? "update" : "key share"}`,
    accountKeys,
  );
  return rows.map((row) => ({
    id: id(row, "hk", "id"),
    accountId: id(row, "acc", "account_id"),
    endpointId: id(row, "ep", "endpoint_id"),
    filter: filterOf(row),
  }));
}

/** Builds one event for each draft, sent to the locked hooks of its account that name the type. */
export function operationalEvents(drafts: readonly OperationalEventDraft[], hooks: readonly AccountHook[]): readonly NewEvent[] {
  const byAccount = Map.groupBy(hooks, ({ accountId }) => accountId);
  return drafts.map(({ type, accountId, exceptEndpointId, nowMs, data }) => {
    const endpointIds = recipientsOf({ type, exceptEndpointId, data }, byAccount.get(accountId) ?? []);
    const event = { id: newId("evt", nowMs), accountId, timestampMs: nowMs, type, data };
    return { event, watchId: null, callSid: data.subjectCallSid, sequence: null, terminal: false, trace: null, endpointIds, nowMs };
  });
}

/** Inserts one event for each draft, sent to the hooks of its account that name the type. */
export async function publishOperationalEvents(
  tx: Transaction,
  token: number,
  drafts: readonly OperationalEventDraft[],
): Promise<{ readonly jobs: readonly SendJob[]; readonly notices: readonly Notice[] }> {
  if (drafts.length === 0) return { jobs: [], notices: [] };
  const hooks = await lockAccountHooks(tx, [...new Set(drafts.map(({ accountId }) => decodeId(accountId)))], { toChange: false });
  const events = operationalEvents(drafts, hooks);
  const jobs = await insertEvents(tx, token, events);
  return { jobs: events.flatMap((inserted) => jobs.get(inserted) ?? []), notices: noticesOf(events) };
}

/** Returns the notices that wake requests waiting for an event of the account. */
export function noticesOf(events: readonly NewEvent[]): readonly Notice[] {
  return events.map(({ callSid, event: { accountId, type } }) => ({ accountId, watchId: null, callSid, sequence: null, eventType: type }));
}
