import { decodeId } from "../../../domain/ids.ts";
import { checkQuota } from "../../../domain/quotas.ts";
import type { CallStatus } from "../../../domain/calls/call.ts";
import { decideRepeat, isStatusCurrent, newWatch } from "../../../domain/calls/registration.ts";
import { planInitialEvents } from "../../../domain/calls/transition.ts";
import { filterToRow } from "../../../domain/events/event-filter.ts";
import type { WatchedCall } from "../../../ports/stores/call-store.ts";
import type { EndpointSummary, WatchView } from "../../../ports/stores/read-store.ts";
import type { RegisterWatchResult, WatchDraft } from "../../../ports/stores/registration-store.ts";
import { integer, scopeKey, watchOf } from "../../sql/rows.ts";
import { watchViewOf } from "../../sql/view-rows.ts";
import { readCallWithWatches } from "../calls/active-watches.ts";
import { readHooks, writePlanned } from "../calls/transition-events.ts";
import { readWatchedCall } from "../calls/watched-calls.ts";
import type { Database, Row } from "../connection/database.ts";
import { watchSelect } from "../reading/selects.ts";
import { enableIfDisabled, ensureEndpoint, readUsage } from "./endpoints.ts";
import type { EnsuredEndpoint } from "./endpoints.ts";

export const writes = { registerWatches };

type Created = Extract<RegisterWatchResult, { kind: "created" }>;

/** Registers each draft by itself, in order, in one transaction. A refused draft writes nothing. */
function registerWatches(db: Database, drafts: readonly WatchDraft[]): readonly RegisterWatchResult[] {
  return drafts.map((draft) => registerWatch(db, draft));
}

function registerWatch(db: Database, draft: WatchDraft): RegisterWatchResult {
  const { nowMs } = draft;
  const accountKey = decodeId(draft.accountId);
  if (
    draft.endpoint === null &&
    db.get("select 1 from hooks where account_id = ? and disabled_at is null limit 1", accountKey) === undefined
  )
    return { kind: "callback_required" };
  const known = db.get(
    "select * from calls where source_name = ? and scope = ? and call_sid = ?",
    draft.sourceName,
    scopeKey(draft.scope),
    draft.callSid,
  );
  const repeat = decideRepeat(known === undefined ? null : findNewestSame(db, integer(known, "id"), draft), draft, nowMs);
  if (repeat.kind === "differs") return { kind: "watch_differs", watchId: repeat.watchId, fields: repeat.fields };
  const { quotas } = draft;
  const exceeded = repeat.kind === "new" ? checkQuota(quotas, "maxActiveWatches", () => readUsage(db, accountKey).activeWatches) : null;
  if (exceeded !== null) return exceeded;
  const ensured: EnsuredEndpoint | null = draft.endpoint === null ? null : ensureEndpoint(db, accountKey, draft.endpoint, quotas, nowMs);
  if (ensured !== null && ensured.kind !== "endpoint") return ensured;
  if (repeat.kind === "existing") return { kind: "existing", view: readWatch(db, decodeId(repeat.watchId)) };
  const endpoint = ensured?.summary ?? null;
  if (endpoint?.state === "disabled") enableIfDisabled(db, decodeId(endpoint.id), nowMs);

  const watchKey = decodeId(draft.id);
  const callKey = known === undefined ? insertCall(db, draft) : restartIfEnded(db, known, draft);
  db.run(
    `insert into watches (id, account_id, call_id, endpoint_id, events, metadata, status, created_at, expires_at) values (?, ?, ?, ?, ?, ?, 'active', ?, ?)`,
    watchKey,
    accountKey,
    callKey,
    endpoint === null ? null : decodeId(endpoint.id),
    filterToRow(draft.filter),
    JSON.stringify(draft.metadata),
    nowMs,
    draft.expiresAtMs,
  );
  db.counters.countWatches(accountKey, null, "active");
  const showsGeneratedSecret = ensured?.showsGeneratedSecret ?? false;
  if (known === undefined && endpoint?.state !== "disabled")
    return { kind: "created", showsGeneratedSecret, ...firstWatchOf(draft, endpoint) };
  const notified = writeFirstEvent(db, callKey, draft);
  return { kind: "created", view: readWatch(db, watchKey), showsGeneratedSecret, call: readWatchedCall(db, callKey), ...notified };
}

/** Finds the newest watch of the account on the same call with the same URL. */
function findNewestSame(db: Database, callKey: number, draft: WatchDraft) {
  // Forces the index of the call, because an account may have more watches than the planner expects, and a call has few.
  const sql = `select w.*, c.source_name, c.call_sid, p.url as callback_url from watches w indexed by watches_by_call join calls c on c.id = w.call_id
    left join endpoints p on p.id = w.endpoint_id
    where w.call_id = ? and w.account_id = ? and p.url is ? order by w.id desc limit 1`;
  const row = db.get(sql, callKey, decodeId(draft.accountId), draft.endpoint?.url ?? null);
  return row === undefined ? null : watchOf(row);
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
  const status: CallStatus = { status: null, reason: "", terminal: false, observedAtMs: null, lastGoodPollAtMs: null };
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
  };
  return { view: { watch, call: status, endpoint, pendingDeliveries: 0 }, call, notices: [], jobs: [] };
}

/**
 * Restarts an ended call, if the draft asks for it: clears its status but not the number of its transitions, so that hooks
 * are notified of the new ones.
 */
function restartIfEnded(db: Database, known: Row, draft: WatchDraft): number {
  const callKey = integer(known, "id");
  if (draft.restartsEndedCall && db.get("select 1 from watches where call_id = ? and status = 'active' limit 1", callKey) === undefined)
    db.run(
      "update calls set status = null, reason = '', terminal = 0, observed_at = null, last_good_poll_at = null, version = version + 1 where id = ?",
      callKey,
    );
  return callKey;
}

/** Writes the first events of the watches if the status of the call is current. Part of the registration, so that no transition falls between them. */
function writeFirstEvent(db: Database, callKey: number, draft: WatchDraft): ReturnType<typeof writePlanned> {
  const found = readCallWithWatches(db, callKey);
  if (found === null) throw new Error(`no call ${callKey}`);
  const { status: call, transition, watches } = found;
  if (!isStatusCurrent(call, draft.polledAtMs, draft.nowMs)) return { notices: [], jobs: [] };
  const context = { callKey, transition, nowMs: draft.nowMs };
  const planned = planInitialEvents({ call, watches, hooks: readHooks(db, callKey, watches), ...context });
  return writePlanned(db, planned, context);
}

function readWatch(db: Database, watchKey: number): WatchView {
  const row = db.get(`${watchSelect} where w.id = ?`, watchKey);
  if (row === undefined) throw new Error(`no watch ${watchKey}`);
  return watchViewOf(row);
}
