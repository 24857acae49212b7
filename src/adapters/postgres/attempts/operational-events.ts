import { newId } from "../../../domain/ids.ts";
import { recipientsOf } from "../../../domain/events/operational-events.ts";
import type { OperationalEventDraft } from "../../../domain/events/operational-events.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { Transaction } from "../connection/database.ts";
import type { NewEvent } from "../deliveries/event-rows.ts";
import { filterOf, text } from "../../sql/rows.ts";

export type AccountHook = { readonly accountId: string; readonly endpointId: string; readonly events: readonly string[] | null };

/** Every hook of these accounts, locked: none goes while it is told. `toDelete`: some of them may be deleted. */
export async function lockAccountHooks(
  tx: Transaction,
  accountIds: readonly string[],
  { toDelete }: { readonly toDelete: boolean },
): Promise<readonly AccountHook[]> {
  const rows = await tx.all(
    `select account_id, endpoint_id, events from hooks where account_id = any($1) order by id for ${toDelete ? "update" : "key share"}`,
    accountIds,
  );
  return rows.map((row) => ({ accountId: text(row, "account_id"), endpointId: text(row, "endpoint_id"), events: filterOf(row) }));
}

/** One event each for the (locked) hooks of its account that name the type; null where none does. */
export function operationalEvents(news: readonly OperationalEventDraft[], hooks: readonly AccountHook[]): readonly (NewEvent | null)[] {
  const byAccount = Map.groupBy(hooks, ({ accountId }) => accountId);
  return news.map(({ type, accountId, exceptEndpointId, nowMs, data }) => {
    const endpointIds = recipientsOf({ type, exceptEndpointId }, byAccount.get(accountId) ?? []);
    if (endpointIds.length === 0) return null;
    const event = { id: newId("evt", nowMs), accountId, timestampMs: nowMs, type, data };
    return { event, watchId: null, callSid: null, sequence: null, terminal: false, endpointIds, nowMs };
  });
}

/** For whoever waits for an event of its account. */
export function noticesOf(events: readonly (NewEvent | null)[]): readonly Notice[] {
  return events
    .filter((event) => event !== null)
    .map(({ event: { accountId, type } }) => ({ accountId, watchId: null, sequence: null, eventType: type }));
}
