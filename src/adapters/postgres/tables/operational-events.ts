import { newId } from "../../../domain/ids.ts";
import { recipientsOf } from "../../../domain/operational-news.ts";
import type { OperationalNews } from "../../../domain/operational-news.ts";
import type { Notice } from "../../../ports/call-store.ts";
import type { Transaction } from "../database.ts";
import type { NewEvent } from "./deliveries.ts";
import { filterOf, text } from "../../rows.ts";

/** One event each for the hooks of its account that name the type; null where none does. */
export async function operationalEvents(tx: Transaction, news: readonly OperationalNews[]): Promise<readonly (NewEvent | null)[]> {
  if (news.length === 0) return [];
  const accountIds = [...new Set(news.map(({ accountId }) => accountId))];
  const rows = await tx.all(
    "select account_id, endpoint_id, events from hooks where account_id = any($1) order by id for key share",
    accountIds,
  );
  const hooks = Map.groupBy(
    rows.map((row) => ({ accountId: text(row, "account_id"), endpointId: text(row, "endpoint_id"), events: filterOf(row) })),
    ({ accountId }) => accountId,
  );
  return news.map(({ type, accountId, exceptEndpointId, nowMs, data }) => {
    const endpointIds = recipientsOf({ type, exceptEndpointId }, hooks.get(accountId) ?? []);
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
