import type { OperationalEventData, OperationalEventType, RingbackEvent } from "../../../domain/event.ts";
import { hookWants } from "../../../domain/event-filter.ts";
import { newId } from "../../../domain/ids.ts";
import type { Notice } from "../../../ports/call-store.ts";
import type { SendJob } from "../../../ports/send-job.ts";
import type { Database } from "../database.ts";
import { insertEvent } from "./deliveries.ts";
import { filterOf, text } from "../../rows.ts";

export type Published = { readonly jobs: readonly SendJob[]; readonly notices: readonly Notice[] };

/** One event for an account's hooks that name the type; nothing when none does. Never sent to the endpoint it is about. */
export function publishOperational(
  db: Database,
  type: OperationalEventType,
  about: { readonly accountId: string; readonly exceptEndpointId: string | null; readonly nowMs: number },
  data: OperationalEventData,
): Published {
  const { accountId, exceptEndpointId, nowMs } = about;
  const endpointIds = db
    .all("select endpoint_id, events from hooks where account_id = ?", accountId)
    .filter((row) => row["endpoint_id"] !== exceptEndpointId && hookWants(filterOf(row), { type, terminal: false }))
    .map((row) => text(row, "endpoint_id"));
  if (endpointIds.length === 0) return { jobs: [], notices: [] };
  const id = newId("evt", nowMs);
  const event: RingbackEvent = { id, accountId, timestampMs: nowMs, type, data };
  return {
    jobs: insertEvent(db, { event, watchId: null, callSid: null, sequence: null, terminal: false }, [...new Set(endpointIds)], nowMs),
    notices: [{ accountId, watchId: null, sequence: null, eventType: type }],
  };
}
