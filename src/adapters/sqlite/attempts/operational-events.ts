import type { RingbackEvent } from "../../../domain/events/event.ts";
import { recipientsOf } from "../../../domain/events/operational-events.ts";
import type { OperationalEventDraft } from "../../../domain/events/operational-events.ts";
import { decodeId, newId } from "../../../domain/ids.ts";
import type { Notice } from "../../../ports/stores/call-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import type { OperationalStore } from "../../../ports/stores/service-store.ts";
import { filterOf, id } from "../../sql/rows.ts";
import { mayUseSource } from "../../sql/source-access.ts";
import type { Database } from "../connection/database.ts";
import { insertEvent } from "../deliveries/event-rows.ts";

export const writes = { publishSourceEvent };

export type PublishedEvents = { readonly jobs: readonly SendJob[]; readonly notices: readonly Notice[] };

/** Writes one event for the account's hooks that name its type. Writes nothing if there is no such hook. */
export function publishOperationalEvent(db: Database, draft: OperationalEventDraft): PublishedEvents {
  const { type, accountId, nowMs, data } = draft;
  const hooks = db
    .all("select endpoint_id, events from hooks where account_id = ? and disabled_at is null", decodeId(accountId))
    .map((row) => ({ endpointId: id(row, "ep", "endpoint_id"), filter: filterOf(row) }));
  const endpointIds = recipientsOf(draft, hooks);
  if (endpointIds.length === 0) return { jobs: [], notices: [] };
  const event: RingbackEvent = { id: newId("evt", nowMs), accountId, timestampMs: nowMs, type, data };
  return {
    jobs: insertEvent(db, { event, watchId: null, callSid: null, sequence: null, terminal: false }, endpointIds, nowMs),
    notices: [{ accountId, watchId: null, callSid: null, sequence: null, eventType: type }],
  };
}

function publishSourceEvent(db: Database, event: Parameters<OperationalStore["publishSourceEvent"]>[0]): PublishedEvents {
  const { type, sourceName, state, reason, nowMs } = event;
  const { condition, values } = mayUseSource(sourceName, "?1");
  const accounts = db.all(
    `select a.id from accounts a where exists (select 1 from hooks h where h.account_id = a.id) and (${condition})`,
    ...values,
  );
  const data = { endpointId: null, deliveryId: null, hookIds: null, source: sourceName, state, reason, observedAtMs: nowMs };
  const published = accounts.map((row) =>
    publishOperationalEvent(db, { type, accountId: id(row, "acc", "id"), exceptEndpointId: null, nowMs, data }),
  );
  return { jobs: published.flatMap(({ jobs }) => jobs), notices: published.flatMap(({ notices }) => notices) };
}
