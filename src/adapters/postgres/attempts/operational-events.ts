import { mayUseSource } from "../../sql/source-access.ts";
import { newId } from "../../../domain/ids.ts";
import type { EventFilter } from "../../../domain/events/event-filter.ts";
import { recipientsOf } from "../../../domain/events/operational-events.ts";
import type { OperationalEventDraft } from "../../../domain/events/operational-events.ts";
import type { OperationalStore } from "../../../ports/stores/service-store.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import { filterOf, id, integer } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { unindexedKey } from "../reading/page.ts";
import { insertEvents } from "../deliveries/event-rows.ts";
import type { NewEvent } from "../deliveries/event-rows.ts";

export const ownerWrites = { publishSourceEvent };

/** Inserts one event about a source for every account that may use it and has a hook that names the type. */
async function publishSourceEvent(
  tx: Transaction,
  token: number,
  event: Parameters<OperationalStore["publishSourceEvent"]>[0],
): ReturnType<OperationalStore["publishSourceEvent"]> {
  const { type, sourceName, state, reason, nowMs } = event;
  const { condition, values } = mayUseSource(sourceName, "$1");
  const accounts = await tx.all(
    `select a.id from accounts a where exists (select 1 from hooks h where h.account_id = a.id) and (${condition}) order by a.id`,
    ...values,
  );
  const data = { endpointId: null, deliveryId: null, hookIds: null, source: sourceName, state, reason, observedAtMs: nowMs };
  const drafts = accounts.map((row) => ({ type, accountId: id(row, "acc", "id"), exceptEndpointId: null, nowMs, data }));
  const hooks = await lockAccountHooks(
    tx,
    accounts.map((row) => integer(row, "id")),
    { toChange: false },
  );
  const events = operationalEvents(drafts, hooks).filter((draft) => draft !== null);
  const jobs = await insertEvents(tx, token, events);
  return { jobs: events.flatMap((inserted) => jobs.get(inserted) ?? []), notices: noticesOf(events) };
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

/** Builds one event for each draft, sent to the locked hooks of its account that name the type; `null` if none does. */
export function operationalEvents(drafts: readonly OperationalEventDraft[], hooks: readonly AccountHook[]): readonly (NewEvent | null)[] {
  const byAccount = Map.groupBy(hooks, ({ accountId }) => accountId);
  return drafts.map(({ type, accountId, exceptEndpointId, nowMs, data }) => {
    const endpointIds = recipientsOf({ type, exceptEndpointId, data }, byAccount.get(accountId) ?? []);
    if (endpointIds.length === 0) return null;
    const event = { id: newId("evt", nowMs), accountId, timestampMs: nowMs, type, data };
    return { event, watchId: null, callSid: null, sequence: null, terminal: false, endpointIds, nowMs };
  });
}

/** Returns the notices that wake requests waiting for an event of the account. */
export function noticesOf(events: readonly (NewEvent | null)[]): readonly Notice[] {
  return events
    .filter((event) => event !== null)
    .map(({ event: { accountId, type } }) => ({ accountId, watchId: null, callSid: null, sequence: null, eventType: type }));
}
