import type { CallStatus } from "../../../domain/calls/call.ts";
import { decideRepeat, isStatusCurrent } from "../../../domain/calls/registration.ts";
import { planInitialEvents } from "../../../domain/calls/transition.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import { filterToRow } from "../../../domain/events/event-filter.ts";
import type { WatchedCall } from "../../../ports/stores/call-store.ts";
import type { EndpointSummary } from "../../../ports/stores/read-store.ts";
import type { RegisterWatchResult, WatchDraft } from "../../../ports/stores/registration-store.ts";
import type { Database, Row } from "../connection/database.ts";
import { enableIfDisabled, nameEndpoint } from "./endpoint-rows.ts";
import type { NamedEndpoint } from "./endpoint-rows.ts";
import { callStatusOf, integer, text, watchOf } from "../../sql/rows.ts";
import { activeWatches, hooksOf, writePlanned } from "../calls/transition-events.ts";
import { usageOf } from "./quota-usage.ts";
import { watchSelect } from "../reading/selects.ts";
import { readWatchedCall } from "../calls/watched-call.ts";
import { watchViewOf } from "../../sql/view-rows.ts";

type Created = Extract<RegisterWatchResult, { kind: "created" }>;

/** Each draft by itself, in order, all in the one transaction. A draft that is refused has written nothing. */
export function registerWatches(db: Database, drafts: readonly WatchDraft[]): readonly RegisterWatchResult[] {
  return drafts.map((draft) => registerWatch(db, draft));
}

function registerWatch(db: Database, draft: WatchDraft): RegisterWatchResult {
  const { accountId, nowMs } = draft;
  if (draft.endpoint === null && db.get("select 1 from hooks where account_id = ? limit 1", accountId) === undefined)
    return { kind: "callback_required" };
  const known = db.get(
    "select * from calls where source_name = ? and scope = ? and call_sid = ?",
    draft.sourceName,
    draft.scope,
    draft.callSid,
  );
  const repeat = decideRepeat(known === undefined ? null : newestLike(db, text(known, "id"), draft), draft, nowMs);
  if (repeat.kind === "differs") return { kind: "watch_differs", watchId: repeat.watchId, fields: repeat.fields };
  const { maxActiveWatches, maxEndpoints } = draft.quotas;
  if (repeat.kind === "new" && maxActiveWatches > 0 && usageOf(db, accountId).activeWatches >= maxActiveWatches)
    return { kind: "quota_exceeded", quota: "active_watches", limit: maxActiveWatches };
  const named: NamedEndpoint | null = draft.endpoint === null ? null : nameEndpoint(db, accountId, draft.endpoint, maxEndpoints, nowMs);
  if (named !== null && named.kind !== "endpoint") return named;
  if (repeat.kind === "existing") return { kind: "existing", view: readView(db, repeat.watchId) };
  const endpoint = named?.summary ?? null;
  if (endpoint?.state === "disabled") enableIfDisabled(db, endpoint.id, nowMs);

  const callId = known === undefined ? makeCall(db, draft) : restoreCall(db, known, draft);
  db.run(
    `insert into watches (id, account_id, call_id, endpoint_id, events, metadata, status, created_at, expires_at) values (?, ?, ?, ?, ?, ?, 'active', ?, ?)`,
    draft.id,
    accountId,
    callId,
    endpoint?.id ?? null,
    filterToRow(draft.filter),
    JSON.stringify(draft.metadata),
    nowMs,
    draft.expiresAtMs,
  );
  const showsGeneratedSecret = named?.showsGeneratedSecret ?? false;
  if (known === undefined && endpoint?.state !== "disabled") return { kind: "created", showsGeneratedSecret, ...firstOf(draft, endpoint) };
  const told = planFirstEvent(db, callId, draft);
  return { kind: "created", view: readView(db, draft.id), showsGeneratedSecret, call: readWatchedCall(db, callId), ...told };
}

/** The newest watch of the account on the same call for the same URL. */
function newestLike(db: Database, callId: string, draft: WatchDraft) {
  // The index is named: an account may have more watches than the planner expects, a call has few.
  const sql = `select w.*, c.source_name, c.call_sid, p.url as callback_url from watches w indexed by watches_by_call join calls c on c.id = w.call_id
    left join endpoints p on p.id = w.endpoint_id
    where w.call_id = ? and w.account_id = ? and p.url is ? order by w.id desc limit 1`;
  const row = db.get(sql, callId, draft.accountId, draft.endpoint?.url ?? null);
  return row === undefined ? null : watchOf(row);
}

function makeCall(db: Database, draft: WatchDraft): string {
  db.run(
    "insert into calls (id, source_name, scope, call_sid, created_at) values (?, ?, ?, ?, ?)",
    draft.callId,
    draft.sourceName,
    draft.scope,
    draft.callSid,
    draft.nowMs,
  );
  return draft.callId;
}

/** The first watch of a call just made, as the rows would say it: batches are mostly those, and reading each back costs a third of them. */
function firstOf(draft: WatchDraft, endpoint: EndpointSummary | null): Pick<Created, "view" | "call" | "notices" | "jobs"> {
  const { id, accountId, sourceName, scope, callSid, callId, filter, metadata, expiresAtMs, nowMs } = draft;
  const status: CallStatus = { status: null, reason: "", terminal: false, observedAtMs: null, lastGoodPollAtMs: null };
  const watch: Watch = {
    id,
    accountId,
    sourceName,
    callId,
    callSid,
    endpointId: endpoint?.id ?? null,
    callbackUrl: draft.endpoint?.url ?? null,
    status: "active",
    endReason: null,
    filter,
    metadata,
    sequence: 0,
    createdAtMs: nowMs,
    expiresAtMs,
    endedAtMs: null,
  };
  const call: WatchedCall = {
    callId,
    sourceName,
    callSid,
    scope,
    accountId,
    status,
    version: 1,
    createdAtMs: nowMs,
    youngestWatchAtMs: nowMs,
    earliestDeadlineAtMs: expiresAtMs,
    needsFirstEvent: false,
  };
  return { view: { watch, call: status, endpoint, pendingDeliveries: 0 }, call, notices: [], jobs: [] };
}

/** A call whose life begins anew forgets its status; hooks are told its transitions again, for their numbers go on. */
function restoreCall(db: Database, known: Row, draft: WatchDraft): string {
  const callId = text(known, "id");
  if (draft.restartsEndedCall && db.get("select 1 from watches where call_id = ? and status = 'active' limit 1", callId) === undefined)
    db.run(
      "update calls set status = null, reason = '', terminal = 0, observed_at = null, last_good_poll_at = null, version = version + 1 where id = ?",
      callId,
    );
  return callId;
}

/** In the transaction of the registration, so that no transition can fall between what was told and what will be. */
function planFirstEvent(db: Database, callId: string, draft: WatchDraft): ReturnType<typeof writePlanned> {
  const row = db.get("select * from calls where id = ?", callId);
  if (row === undefined) throw new Error(`no call ${callId}`);
  const call = callStatusOf(row);
  if (!isStatusCurrent(call, draft.polledAtMs, draft.nowMs)) return { notices: [], jobs: [] };
  const watches = activeWatches(db, callId);
  const moment = { callId, transition: integer(row, "transitions"), nowMs: draft.nowMs };
  const planned = planInitialEvents({ call, watches, hooks: hooksOf(db, callId, watches), ...moment });
  return writePlanned(db, planned, moment);
}

function readView(db: Database, watchId: string) {
  const row = db.get(`${watchSelect} where w.id = ?`, watchId);
  if (row === undefined) throw new Error(`no watch ${watchId}`);
  return watchViewOf(row);
}
