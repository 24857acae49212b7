import { decodeId } from "../../../domain/ids.ts";
import { checkQuota } from "../../../domain/quotas.ts";
import type { QuotaExceeded } from "../../../domain/quotas.ts";
import type { CallStatus } from "../../../domain/calls/call.ts";
import { decideRepeat, isStatusCurrent, newWatch } from "../../../domain/calls/registration.ts";
import { metadataHashes } from "../../../domain/calls/watch-metadata.ts";
import { planInitialEvents } from "../../../domain/calls/transition.ts";
import { withoutWishes } from "../../../domain/deliveries/endpoint-registration.ts";
import { filterToRow } from "../../../domain/events/event-filter.ts";
import type { WatchedCall } from "../../../ports/stores/call-store.ts";
import type { EndpointSummary, WatchView } from "../../../ports/stores/read-store.ts";
import type { EndpointDraft, RegisterWatchResult, SettledPlacing, WatchDraft } from "../../../ports/stores/registration-store.ts";
import { leftActive, markOf, watchThroughMark } from "../../sql/call-marks.ts";
import { integer, scopeKey, watchOf } from "../../sql/rows.ts";
import { recordAudit } from "../../sql/audit/audit.ts";
import { endpointEnabled } from "../../sql/audit/entries.ts";
import { canSettle, settlePlacing } from "../../sql/placings/placings.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import { readCallWithWatches, withoutGone } from "../calls/active-watches.ts";
import { readHooks, writePlanned } from "../calls/transition-events.ts";
import { readWatchedCall } from "../calls/watched-calls.ts";
import type { Database, Row } from "../connection/database.ts";
import { goneMark } from "../marks/gone-watches.ts";
import { watchSelect } from "../reading/selects.ts";
import { enableIfDisabled, ensureEndpoint, readUsage } from "./endpoints.ts";
import type { EnsuredEndpoint } from "./endpoints.ts";

export const writes = { registerWatches };

type Created = Extract<RegisterWatchResult, { kind: "created" }>;

/** Registers each draft by itself, in order, in one transaction. A refused draft writes nothing. */
function registerWatches(
  db: Database,
  drafts: readonly WatchDraft[],
): readonly RegisterWatchResult[] | Promise<readonly RegisterWatchResult[]> {
  const [draft] = drafts;
  if (draft?.placing !== null && draft?.placing !== undefined && drafts.length === 1) return settleWithWatch(db, draft, draft.placing);
  return drafts.map((each) => registerWatch(db, each));
}

/** Registers the watch of a placing, and settles the placing by it. */
async function settleWithWatch(db: Database, draft: WatchDraft, placing: SettledPlacing): Promise<readonly RegisterWatchResult[]> {
  if (!(await canSettle(db, placing))) return [{ kind: "placing_settled" }];
  const result = registerWatch(db, draft);
  if ("view" in result) await settlePlacing(db, placing, draft, result.view.watch.id);
  return [result];
}

function registerWatch(db: Database, draft: WatchDraft): RegisterWatchResult {
  const { nowMs } = draft;
  const accountKey = decodeId(draft.accountId);
  if (draft.needsHook && db.get("select 1 from hooks where account_id = ? and disabled_at is null limit 1", accountKey) === undefined)
    return { kind: "callback_required" };
  const known = db.get(
    "select * from calls where source_name = ? and scope = ? and call_sid = ?",
    draft.sourceName,
    scopeKey(draft.scope),
    draft.callSid,
  );
  const repeat = decideRepeat(known === undefined ? null : findNewestSame(db, integer(known, "id"), draft), draft, nowMs);
  if (repeat.kind === "differs") return { kind: "watch_differs", watchId: repeat.watchId, fields: repeat.fields };
  const exceeded = repeat.kind === "new" ? findExceeded(db, accountKey, known, draft) : null;
  if (exceeded !== null) return exceeded;
  const ensured: EnsuredEndpoint | null = draft.endpoint === null ? null : ensureEndpointOf(db, accountKey, draft, draft.endpoint);
  if (ensured !== null && ensured.kind !== "endpoint") return ensured;
  if (repeat.kind === "existing") return { kind: "existing", view: readWatch(db, decodeId(repeat.watchId)) };
  const endpoint = ensured?.summary ?? null;
  if (endpoint?.state === "disabled") {
    enableIfDisabled(db, decodeId(endpoint.id), nowMs);
    void recordAudit(db, draft.by, endpointEnabled(draft, endpoint.id));
  }

  const watchKey = decodeId(draft.id);
  const callKey = known === undefined ? insertCall(db, draft) : restartIfEnded(db, known, draft);
  db.run(
    `insert into watches (id, account_id, call_id, endpoint_id, events, metadata, trace, status, created_at, expires_at, spared_by, retirements)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?10, 'active', ?7, ?8, ?9, coalesce((select retirements from endpoints where id = ?4), 0))`,
    watchKey,
    accountKey,
    callKey,
    endpoint === null ? null : decodeId(endpoint.id),
    filterToRow(draft.filter),
    JSON.stringify(draft.metadata),
    nowMs,
    draft.expiresAtMs,
    known === undefined ? null : (markOf(known)?.version ?? null),
    draft.trace,
  );
  const hashes = metadataHashes(draft.metadata);
  if (hashes.length > 0)
    db.run(
      "insert into watch_metadata (account_id, hash, watch_id) select ?1, value, ?2 from json_each(?3)",
      accountKey,
      watchKey,
      JSON.stringify(hashes),
    );
  db.counters.countWatches(accountKey, null, "active");
  const shown = { showsGeneratedSecret: ensured?.showsGeneratedSecret ?? false, enabledEndpoint: endpoint?.state === "disabled" };
  if (known === undefined && !shown.enabledEndpoint) return { kind: "created", ...shown, ...firstWatchOf(draft, endpoint) };
  const notified = writeFirstEvent(db, callKey, endpoint?.id ?? null, draft);
  return { kind: "created", view: readWatch(db, watchKey), ...shown, call: readWatchedCall(db, callKey), ...notified };
}

/** Returns the quota that one more watch exceeds, else `null`. Watches that a running mark ends do not count. */
function findExceeded(db: Database, accountKey: number, known: Row | undefined, { quotas }: WatchDraft): QuotaExceeded | null {
  const ofCall =
    known === undefined
      ? null
      : checkQuota(quotas, "maxWatchesPerCall", () => countActive(db, integer(known, "id"), accountKey, known, quotas.maxWatchesPerCall));
  if (ofCall !== null) return ofCall;
  return checkQuota(quotas, "maxActiveWatches", () => {
    const { activeWatches } = readUsage(db, accountKey);
    return activeWatches < quotas.maxActiveWatches ? activeWatches : activeWatches - countEnding(db, accountKey);
  });
}

/** Counts the active watches of an account on a call up to `limit`. */
function countActive(db: Database, callKey: number, accountKey: number, call: Row, limit: number): number {
  const left = leftActive(markOf(call));
  const row = db.get(
    `select count(*) as n from (select 1 from watches w indexed by watches_active_of_account
       where w.call_id = ? and w.account_id = ? and w.status = 'active' and ${left.condition} limit ${limit})`,
    callKey,
    accountKey,
    ...left.values,
  );
  return row === undefined ? 0 : integer(row, "n");
}

/** Counts the watches of an account that running marks end. */
function countEnding(db: Database, accountKey: number): number {
  let ending = 0;
  for (const call of db.all("select id, mark from calls where mark is not null")) {
    const left = leftActive(markOf(call));
    const row = db.get(
      `select count(*) as n from watches w indexed by watches_active_of_account
       where w.call_id = ? and w.account_id = ? and w.status = 'active' and not (${left.condition})`,
      integer(call, "id"),
      accountKey,
      ...left.values,
    );
    ending += row === undefined ? 0 : integer(row, "n");
  }
  return ending;
}

/** Ensures the endpoint of a draft. The watch of a call that was placed takes an existing endpoint as it is. */
function ensureEndpointOf(
  db: Database,
  accountKey: number,
  { placing, quotas, nowMs }: WatchDraft,
  endpoint: EndpointDraft,
): EnsuredEndpoint {
  const ensured = ensureEndpoint(db, accountKey, endpoint, quotas, nowMs);
  if (ensured.kind !== "endpoint_differs" || placing === null) return ensured;
  return ensureEndpoint(db, accountKey, withoutWishes(endpoint), quotas, nowMs);
}

/** Finds the newest watch of the account on the same call with the same URL. */
function findNewestSame(db: Database, callKey: number, draft: WatchDraft) {
  const accountKey = decodeId(draft.accountId);
  const url = draft.endpoint?.url ?? null;
  // The index of the call ends with the endpoint and the id, so the account's other watches of the call are not read.
  const endpoint = url === null ? "is null" : "= (select e.id from endpoints e where e.account_id = ?2 and e.url = ?3)";
  const sql = `select w.*, c.source_name, c.call_sid, c.mark as c_mark, p.url as callback_url from watches w indexed by watches_by_call
    join calls c on c.id = w.call_id left join endpoints p on p.id = w.endpoint_id
    where w.call_id = ?1 and w.account_id = ?2 and w.endpoint_id ${endpoint} and w.status <> 'purged' order by w.id desc limit 1`;
  const row = url === null ? db.get(sql, callKey, accountKey) : db.get(sql, callKey, accountKey, url);
  if (row === undefined) return null;
  // A watch that a 410 has ended is not the same one, although its row may still be active.
  const gone = goneMark(db, accountKey, row);
  if (gone !== null) return watchOf({ ...row, status: "canceled", end_reason: "gone", ended_at: gone.createdAtMs });
  return watchThroughMark(watchOf(row), row);
}

function insertCall(db: Database, draft: WatchDraft): number {
  const callKey = decodeId(draft.callId);
  db.run(
    "insert into calls (id, source_name, scope, call_sid, created_at) values (?, ?, ?, ?, ?)",
    callKey,
    draft.sourceName,
    scopeKey(draft.scope),
    draft.callSid,
    draft.nowMs,
  );
  return callKey;
}

/**
 * Returns the result for the first watch of a new call from its draft, because reading its rows back would cost a third of
 * a batch. Most drafts of a batch are first watches of new calls.
 */
function firstWatchOf(draft: WatchDraft, endpoint: EndpointSummary | null): Pick<Created, "view" | "call" | "notices" | "jobs"> {
  const { accountId, sourceName, scope, callSid, callId, expiresAtMs, nowMs } = draft;
  const status: CallStatus = { status: null, reason: "", details: null, terminal: false, observedAtMs: null, lastGoodPollAtMs: null };
  const watch = newWatch(draft, callId, endpoint === null ? null : { id: endpoint.id, url: draft.endpoint?.url ?? "" });
  const call: WatchedCall = {
    callId,
    sourceName,
    callSid,
    scope,
    accountId,
    status,
    version: 1,
    createdAtMs: nowMs,
    oldestWatchAtMs: nowMs,
    youngestWatchAtMs: nowMs,
    earliestDeadlineAtMs: expiresAtMs,
    needsFirstEvent: false,
    isUnfinished: false,
  };
  return { view: { watch, call: status, endpoint, pendingDeliveries: 0 }, call, notices: [], jobs: [] };
}

/**
 * Restarts an ended call, if the draft asks for it: clears its status but not the number of its transitions, so that hooks
 * are notified of the new ones.
 */
function restartIfEnded(db: Database, known: Row, draft: WatchDraft): number {
  const callKey = integer(known, "id");
  if (draft.restartsEndedCall && !hasActive(db, callKey))
    db.run(
      `update calls set status = null, reason = '', details = null, terminal = 0, observed_at = null, last_good_poll_at = null, version = version + 1,
         unnotified_from = null, mark = null where id = ?`,
      callKey,
    );
  return callKey;
}

/**
 * Writes the first event of a new watch if the status of the call is current. Part of the registration, so that no
 * transition falls between them. Only an account's oldest watch notifies hooks; the other watches of the call are not read.
 */
function writeFirstEvent(db: Database, callKey: number, endpointId: string | null, draft: WatchDraft): ReturnType<typeof writePlanned> {
  const watchKey = decodeId(draft.id);
  const found = readCallWithWatches(db, callKey, 0);
  if (found === null) throw new Error(`no call ${callKey}`);
  const { status: call, transition, unnotifiedFrom } = found;
  const { nowMs, accountId, expiresAtMs, filter, metadata, trace } = draft;
  if (!isStatusCurrent(call, draft.polledAtMs, nowMs)) {
    if (call.status !== null && (unnotifiedFrom === null || unnotifiedFrom > watchKey))
      db.run("update calls set unnotified_from = ? where id = ?", watchKey, callKey);
    return { notices: [], jobs: [] };
  }
  const { sourceName, callSid } = found.call;
  const watch = {
    id: draft.id,
    accountId,
    callSid,
    sourceName,
    endpointId,
    filter,
    metadata,
    trace,
    sequence: 0,
    createdAtMs: nowMs,
    expiresAtMs,
  };
  const hooks = isOldest(db, callKey, watchKey, draft) ? readHooks(db, callKey, [watch]) : [];
  const context = { callKey, transition, nowMs };
  const planned = planInitialEvents({ call, watches: [watch], hooks, ...context });
  return writePlanned(db, planned, { ...context, recordedAtMs: nowMs });
}

/** Whether a call has an active watch. Reads no more than one transaction may write. */
function hasActive(db: Database, callKey: number): boolean {
  return withoutGone(db, readCallWithWatches(db, callKey, db.markSizes.threshold)?.watches ?? []).length > 0;
}

/** Whether the account has no other active watch on the call. */
function isOldest(db: Database, callKey: number, watchKey: number, { accountId }: WatchDraft): boolean {
  const other = `select 1 from watches w indexed by watches_active_of_account
    where w.call_id = ? and w.account_id = ? and w.status = 'active' and w.id <> ? limit 1`;
  return db.get(other, callKey, decodeId(accountId), watchKey) === undefined;
}

function readWatch(db: Database, watchKey: number): WatchView {
  const row = db.get(`${watchSelect} where w.id = ?`, watchKey);
  if (row === undefined) throw new Error(`no watch ${watchKey}`);
  return watchViewOf(row);
}
