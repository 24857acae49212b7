import { decodeId } from "../../../domain/ids.ts";
import { filterToRow, sameFilter } from "../../../domain/events/event-filter.ts";
import { checkQuota } from "../../../domain/quotas.ts";
import type { HookView } from "../../../ports/stores/read-store.ts";
import type { HookDraft, RegisterHookResult, RegistrationStore, RemovedHook } from "../../../ports/stores/registration-store.ts";
import { filterOf, id, integer, integerOrNull, isSubscribedRow } from "../../sql/rows.ts";
import { hookViewOf } from "../../sql/view-rows.ts";
import type { Database } from "../connection/database.ts";
import { refreshLane } from "../deliveries/lanes.ts";
import { hookSelect } from "../reading/selects.ts";
import { enableIfDisabled, ensureEndpoint } from "./endpoints.ts";

export const writes = { registerHook, removeHook };

function registerHook(db: Database, draft: HookDraft): RegisterHookResult {
  const { nowMs, quotas } = draft;
  const accountKey = decodeId(draft.accountId);
  const same = db
    .all(
      "select k.id, k.events, k.disabled_at from hooks k join endpoints p on p.id = k.endpoint_id where k.account_id = ? and p.url = ?",
      accountKey,
      draft.endpoint.url,
    )
    .find((row) => sameFilter(filterOf(row), draft.filter));
  const exceeded = same === undefined ? checkQuota(quotas, "maxHooks", () => countHooks(db, accountKey)) : null;
  if (exceeded !== null) return exceeded;
  const ensured = ensureEndpoint(db, accountKey, draft.endpoint, quotas, nowMs);
  if (ensured.kind !== "endpoint") return ensured;
  // A repeat enables the endpoint only if a 410 disabled the hook with it.
  if (ensured.summary.state === "disabled" && same?.["disabled_at"] !== null) enableIfDisabled(db, decodeId(ensured.summary.id), nowMs);
  if (same !== undefined) return { kind: "existing", view: readHook(db, integer(same, "id")) };
  const hookKey = decodeId(draft.id);
  db.run(
    "insert into hooks (id, account_id, endpoint_id, events, created_at) values (?, ?, ?, ?, ?)",
    hookKey,
    accountKey,
    decodeId(ensured.summary.id),
    filterToRow(draft.filter),
    nowMs,
  );
  db.cache.forgetHooks();
  return { kind: "created", view: readHook(db, hookKey), showsGeneratedSecret: ensured.showsGeneratedSecret };
}

function countHooks(db: Database, accountKey: number): number {
  const row = db.get("select count(*) as n from hooks where account_id = ? and disabled_at is null", accountKey);
  return row === undefined ? 0 : integer(row, "n");
}

function readHook(db: Database, hookKey: number): HookView {
  const row = db.get(`${hookSelect} where k.id = ?`, hookKey);
  if (row === undefined) throw new Error(`no hook ${hookKey}`);
  return hookViewOf(row);
}

/** Cancels the pending deliveries that only this hook subscribed to. Keeps those that the watch or another hook of the endpoint subscribes to. */
function removeHook(db: Database, request: Parameters<RegistrationStore["removeHook"]>[0]): RemovedHook {
  const row = db.get(
    "delete from hooks where id = ? and account_id = ? returning endpoint_id",
    decodeId(request.hookId),
    decodeId(request.accountId),
  );
  if (row === undefined) return { endpointId: null, canceledLeased: [] };
  const endpointKey = integer(row, "endpoint_id");
  const otherFilters = db.all("select events from hooks where endpoint_id = ? and disabled_at is null", endpointKey).map(filterOf);
  const pending = db.all(
    `select d.id, d.watch_id, d.lease_token, e.account_id, e.id as event_id, e.type as event_type, e.timestamp, e.data, w.endpoint_id = d.endpoint_id as to_watch, w.events
     from deliveries d join events e on e.position = d.event_position left join watches w on w.id = d.watch_id
     where d.endpoint_id = ? and d.status = 'pending' and e.type <> 'endpoint.test'`,
    endpointKey,
  );
  const lanes = new Set<number>();
  const canceledLeased: string[] = [];
  for (const delivery of pending) {
    if (isSubscribedRow(delivery, otherFilters)) continue;
    if (delivery["lease_token"] === null) db.counters.countUnleased(endpointKey, -1);
    else canceledLeased.push(id(delivery, "dlv", "id"));
    db.run(
      "update deliveries set status = 'canceled', settled_at = ?, next_attempt_at = null, due_at = null where id = ?",
      request.nowMs,
      integer(delivery, "id"),
    );
    db.counters.countDeliveries("pending", "canceled");
    const watchKey = integerOrNull(delivery, "watch_id");
    if (watchKey !== null) lanes.add(watchKey);
  }
  // A canceled delivery no longer blocks those behind it in its lane.
  for (const watchKey of lanes) refreshLane(db, watchKey, endpointKey);
  return { endpointId: id(row, "ep", "endpoint_id"), canceledLeased };
}
