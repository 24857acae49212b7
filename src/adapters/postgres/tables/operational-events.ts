import type { OperationalEventData, OperationalEventType } from "../../../domain/event.ts";
import { hookWants } from "../../../domain/event-filter.ts";
import { newId } from "../../../domain/ids.ts";
import type { Notice } from "../../../ports/call-store.ts";
import type { Transaction } from "../database.ts";
import type { NewEvent } from "./deliveries.ts";
import { filterOf, text } from "../../rows.ts";

export type OperationalNews = {
  readonly type: OperationalEventType;
  readonly accountId: string;
  /** The endpoint it is about is not told. */
  readonly exceptEndpointId: string | null;
  readonly nowMs: number;
  readonly data: OperationalEventData;
};

/** One event each for the hooks of its account that name the type; null where none does. */
export async function operationalEvents(tx: Transaction, news: readonly OperationalNews[]): Promise<readonly (NewEvent | null)[]> {
  if (news.length === 0) return [];
  const accountIds = [...new Set(news.map(({ accountId }) => accountId))];
  const rows = await tx.all(
    "select account_id, endpoint_id, events from hooks where account_id = any($1) order by id for key share",
    accountIds,
  );
  const hooks = Map.groupBy(rows, (row) => text(row, "account_id"));
  return news.map(({ type, accountId, exceptEndpointId, nowMs, data }) => {
    const endpointIds = (hooks.get(accountId) ?? [])
      .filter((row) => row["endpoint_id"] !== exceptEndpointId && hookWants(filterOf(row), { type, terminal: false }))
      .map((row) => text(row, "endpoint_id"));
    if (endpointIds.length === 0) return null;
    const event = { id: newId("evt", nowMs), accountId, timestampMs: nowMs, type, data };
    return { event, watchId: null, callSid: null, sequence: null, terminal: false, endpointIds: [...new Set(endpointIds)], nowMs };
  });
}

/** For whoever waits for an event of its account. */
export function noticesOf(events: readonly (NewEvent | null)[]): readonly Notice[] {
  return events
    .filter((event) => event !== null)
    .map(({ event: { accountId, type } }) => ({ accountId, watchId: null, sequence: null, eventType: type }));
}
