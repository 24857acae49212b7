import type { RingbackEvent } from "../../../domain/events/event.ts";
import { newId } from "../../../domain/ids.ts";
import { recipientsOf } from "../../../domain/events/operational-events.ts";
import type { OperationalEventDraft } from "../../../domain/events/operational-events.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { filterOf, text } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { insertEvent } from "../deliveries/event-rows.ts";

export type Published = { readonly jobs: readonly SendJob[]; readonly notices: readonly Notice[] };

/** One event for an account's hooks that name the type; nothing when none does. */
export function publishOperational(db: Database, news: OperationalEventDraft): Published {
  const { type, accountId, nowMs, data } = news;
  const hooks = db
    .all("select endpoint_id, events from hooks where account_id = ?", accountId)
    .map((row) => ({ endpointId: text(row, "endpoint_id"), filter: filterOf(row) }));
  const endpointIds = recipientsOf(news, hooks);
  if (endpointIds.length === 0) return { jobs: [], notices: [] };
  const event: RingbackEvent = { id: newId("evt", nowMs), accountId, timestampMs: nowMs, type, data };
  return {
    jobs: insertEvent(db, { event, watchId: null, callSid: null, sequence: null, terminal: false }, endpointIds, nowMs),
    notices: [{ accountId, watchId: null, sequence: null, eventType: type }],
  };
}
