import { isStillSubscribed } from "../../../domain/events/event-filter.ts";
import type { EventType } from "../../../domain/events/event.ts";
import type { RegistrationStore, RemovedHook } from "../../../ports/stores/registration-store.ts";
import type { Row, Transaction } from "../connection/database.ts";
import { cancelPending } from "../deliveries/event-rows.ts";
import { lockEndpoints } from "../deliveries/due-bounds.ts";
import { replaceLanes } from "../deliveries/lanes.ts";
import { filterOf, flag, text, textOrNull } from "../../sql/rows.ts";

const pendingFor = `from deliveries d join events e on e.position = d.event_position
  where d.endpoint_id = $1 and d.status = 'pending' and e.type <> 'endpoint.test'`;

/** What the hook alone asked for is canceled; what a watch or another hook with its URL asked for too is still owed. */
export async function removeHook(tx: Transaction, request: Parameters<RegistrationStore["removeHook"]>[0]): Promise<RemovedHook> {
  const { hookId, accountId, nowMs } = request;
  const known = await tx.get("select endpoint_id from hooks where id = $1 and account_id = $2", hookId, accountId);
  if (known === undefined) return { endpointId: null, canceledLeased: [] };
  const endpointId = text(known, "endpoint_id");
  const [, deleted, , others, owed] = await Promise.all([
    tx.run(`select 1 from watches where id = any(array(select d.watch_id ${pendingFor})) order by id for no key update`, endpointId),
    tx.run("delete from hooks where id = $1", hookId),
    lockEndpoints(tx, [endpointId]),
    tx.all("select events from hooks where endpoint_id = $1", endpointId),
    tx.all(
      `select d.id, d.watch_id, d.lease_token, e.type, e.terminal, w.endpoint_id = d.endpoint_id as to_watch, w.events
       from deliveries d join events e on e.position = d.event_position left join watches w on w.id = d.watch_id
       where d.endpoint_id = $1 and d.status = 'pending' and e.type <> 'endpoint.test'`,
      endpointId,
    ),
  ]);
  if (deleted === 0) return { endpointId: null, canceledLeased: [] };
  const otherFilters = others.map(filterOf);
  const unwanted = owed.filter((delivery) => !isWanted(delivery, otherFilters));
  await cancelPending(
    tx,
    "id",
    unwanted.map((row) => text(row, "id")),
    nowMs,
  );
  // What waited behind a canceled one waits no more.
  const watchIds = new Set(unwanted.map((row) => textOrNull(row, "watch_id")).filter((id) => id !== null));
  await replaceLanes(tx, [...watchIds], [endpointId]);
  return { endpointId, canceledLeased: unwanted.filter((row) => row["lease_token"] !== null).map((row) => text(row, "id")) };
}

function isWanted(delivery: Row, otherFilters: readonly (readonly string[] | null)[]): boolean {
  const event = { type: text(delivery, "type") as EventType, terminal: flag(delivery, "terminal") };
  return isStillSubscribed(event, flag(delivery, "to_watch") ? { events: filterOf(delivery) } : null, otherFilters);
}
