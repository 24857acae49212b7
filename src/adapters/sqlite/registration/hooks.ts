import { atOnce, effectOn } from "../../../domain/deliveries/marks.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import { decodeId, encodeId } from "../../../domain/ids.ts";
import { filterToRow, sameFilter } from "../../../domain/events/event-filter.ts";
import { checkQuota } from "../../../domain/quotas.ts";
import type { HookView } from "../../../ports/stores/read-store.ts";
import type { HookDraft, RegisterHookResult, RegistrationStore, RemovedHook } from "../../../ports/stores/registration-store.ts";
import { recordAudit } from "../../sql/audit/audit.ts";
import { endpointEnabled, hookCreated, hookDeleted } from "../../sql/audit/entries.ts";
import { filterOf, id, integer, integerOrNull, isSubscribedRow, textOrNull } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import { isWantedOf } from "../../sql/marks/marked-rows.ts";
import { hookViewOf } from "../../sql/view-rows.ts";
import type { Database } from "../connection/database.ts";
import { refreshLane } from "../deliveries/lanes.ts";
import { keysOf, readMarked, writeEffects } from "../marks/marked-deliveries.ts";
import { exceedsThreshold, isMarked, newestDelivery, newestPosition, setMark } from "../marks/set-mark.ts";
import { heldBy } from "../../sql/marks/new-mark.ts";
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
  if (ensured.summary.state === "disabled" && same?.["disabled_at"] !== null) {
    enableIfDisabled(db, decodeId(ensured.summary.id), nowMs);
    void recordAudit(db, draft.by, endpointEnabled(draft, ensured.summary.id));
  }
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
  void recordAudit(db, draft.by, hookCreated(draft, ensured.summary.id));
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

/**
 * Cancels the pending deliveries that only this hook subscribed to, by a mark if they are many. Keeps those that the watch or
 * another hook of the endpoint subscribes to.
 */
function removeHook(db: Database, request: Parameters<RegistrationStore["removeHook"]>[0]): RemovedHook {
  const row = db.get(
    "delete from hooks where id = ? and account_id = ? returning endpoint_id",
    decodeId(request.hookId),
    decodeId(request.accountId),
  );
  if (row === undefined) return { endpointId: null, canceledLeased: [] };
  const endpointKey = integer(row, "endpoint_id");
  void recordAudit(db, request.by, hookDeleted(request, endpointKey));
  const others = db.all("select events from hooks where endpoint_id = ? and disabled_at is null", endpointKey);
  if (
    isMarked(db, endpointKey) ||
    exceedsThreshold(db, "select 1 from deliveries where endpoint_id = ? and status = 'pending'", endpointKey)
  )
    return markUnhooked(db, decodeId(request.accountId), endpointKey, others, request.nowMs);
  const otherFilters = others.map(filterOf);
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
      "update deliveries set status = 'canceled', settled_at = ?, next_attempt_at = null, due_at = null, retry_accepted_at = null where id = ?",
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

/** Cancels the leased deliveries that only the hook asked for, and sets a mark for the others. */
function markUnhooked(db: Database, accountKey: number, endpointKey: number, others: readonly Row[], nowMs: number): RemovedHook {
  const leased = readMarked(
    db,
    keysOf(db, "select id from deliveries where endpoint_id = ? and lease_token is not null and status = 'pending'", endpointKey),
  );
  const mark = {
    kind: "unhooked",
    accountKey,
    targetKey: endpointKey,
    lastKey: newestDelivery(db, endpointKey),
    detail: {
      position: newestPosition(db),
      filters: others.map((row) => textOrNull(row, "events")),
      held: heldBy("unhooked", endpointKey),
    },
  } as const;
  const now: Mark = { ...mark, key: atOnce, doneKey: -1, remaining: 0, createdAtMs: nowMs };
  const unwanted = leased.filter((row) => effectOn(row, now, (mark) => isWantedOf(row, mark)) === "cancel");
  writeEffects(db, now, unwanted, nowMs);
  setMark(db, { ...mark, nowMs });
  return { endpointId: encodeId("ep", endpointKey), canceledLeased: unwanted.map(({ key }) => encodeId("dlv", key)) };
}
