import { decodeId } from "../../../domain/ids.ts";
import type { CallMark } from "../../../domain/calls/call-mark.ts";
import type { CallStatus } from "../../../domain/calls/call.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import type { WatchedCall } from "../../../ports/stores/call-store.ts";
import type { WatchDraft } from "../../../ports/stores/registration-store.ts";
import { markOf, watchThroughMark } from "../../sql/call-marks.ts";
import type { Row } from "../../sql/rows.ts";
import { callStatusOf, id, integer, integerOrNull, scopeKey, scopeOf, text, watchOf } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { readWatchedCalls } from "../calls/watched-calls.ts";
import { isGone } from "../../sql/marks/marked-rows.ts";
import { goneKeysOf } from "../marks/set-mark.ts";
import { TransactionOvertakenError } from "../connection/failures.ts";

/** A call that drafts refer to, existing or created by this transaction. */
export type LockedCall = {
  readonly callId: string;
  readonly sourceName: string;
  readonly scope: string;
  readonly callSid: string;
  readonly createdAtMs: number;
  readonly transition: number;
  /** Whether this transaction creates the call. */
  readonly isNew: boolean;
  /** Whether another live instance polls the call. */
  readonly isPolledByPeer: boolean;
  /** The commit that is not written for all watches yet; `null` if there is none. */
  mark: CallMark | null;
  /** Facts of its active watches before this transaction; `null` if there were none. */
  readonly watched: WatchedCall | null;
  status: CallStatus;
  version: number;
  isRestored: boolean;
};

const unobserved: CallStatus = { status: null, reason: "", details: null, terminal: false, observedAtMs: null, lastGoodPollAtMs: null };

/** Calls that registrations name. `load` locks existing calls before it reads facts of their watches, so that no transition intervenes. */
export class LockedCalls {
  readonly #calls: Map<string, LockedCall>;
  readonly #newest = new Map<string, Watch>();

  static async load(tx: Transaction, token: number, drafts: readonly WatchDraft[]): Promise<LockedCalls> {
    const rows = await tx.all(
      `select c.*
       from (select distinct * from unnest($1::text[], $2::bigint[], $3::text[])) as u(source_name, scope, call_sid)
       join calls c on c.source_name = u.source_name and c.scope = u.scope and c.call_sid = u.call_sid
       order by c.id for no key update of c`,
      drafts.map(({ sourceName }) => sourceName),
      drafts.map(({ scope }) => scopeKey(scope)),
      drafts.map(({ callSid }) => callSid),
    );
    if (rows.length === 0) return new LockedCalls([], new Set(), [], []);
    const keys = new Map(rows.map((row) => [nameOf(row), integer(row, "id")]));
    const [watches, watched, peers] = await Promise.all([
      readNewest(tx, keys, drafts),
      readWatchedCalls(tx, [...keys.values()]),
      findOwningPeers(tx, token, rows),
    ]);
    return new LockedCalls(rows, peers, watches, watched);
  }

  private constructor(rows: readonly Row[], peers: ReadonlySet<number>, watches: readonly Watch[], watched: readonly WatchedCall[]) {
    const byId = new Map(watched.map((call) => [call.callId, call]));
    this.#calls = new Map(rows.map((row) => [nameOf(row), callOf(row, peers, byId.get(id(row, "call", "id")) ?? null)]));
    for (const watch of watches) this.#newest.set(watchName(watch.callId, watch.accountId, watch.callbackUrl), watch);
  }

  /** Keys of the calls that existed before this transaction. */
  get knownKeys(): readonly number[] {
    return [...this.#calls.values()].filter(({ isNew }) => !isNew).map(({ callId }) => decodeId(callId));
  }

  /** All calls that the drafts name, new ones included. */
  get all(): readonly LockedCall[] {
    return [...this.#calls.values()];
  }

  find({ sourceName, scope, callSid }: WatchDraft): LockedCall | undefined {
    return this.#calls.get(callName(sourceName, scope, callSid));
  }

  make({ sourceName, scope, callSid, callId, nowMs }: WatchDraft): LockedCall {
    const call: LockedCall = {
      callId,
      sourceName,
      scope,
      callSid,
      createdAtMs: nowMs,
      transition: 0,
      isNew: true,
      isPolledByPeer: false,
      mark: null,
      watched: null,
      status: unobserved,
      version: 1,
      isRestored: false,
    };
    this.#calls.set(callName(sourceName, scope, callSid), call);
    return call;
  }

  /** Restarts an ended call: its status is cleared. Its transition numbers continue, so that hooks are notified of new transitions. */
  restore(call: LockedCall): void {
    call.status = unobserved;
    call.mark = null;
    call.version += 1;
    call.isRestored = true;
  }

  /** Returns the newest watch of the account on the same call for the same URL. */
  findNewestWatch(call: LockedCall, { accountId, endpoint }: WatchDraft): Watch | null {
    return this.#newest.get(watchName(call.callId, accountId, endpoint?.url ?? null)) ?? null;
  }

  addWatch(watch: Watch): void {
    this.#newest.set(watchName(watch.callId, watch.accountId, watch.callbackUrl), watch);
  }

  /**
   * Writes the calls. A call with a new active watch is polled by this instance, unless another live instance polls it: then
   * the call is touched, so that its owner reads it again. `unnotified` returns the oldest new watch of a call that waits
   * for its first event although the status is known.
   */
  async write(
    tx: Transaction,
    token: number,
    {
      isWatched,
      withNewWatch,
      unnotified,
    }: {
      readonly isWatched: (callId: string) => boolean;
      readonly withNewWatch: ReadonlySet<string>;
      readonly unnotified: (callId: string) => number | null;
    },
  ): Promise<void> {
    const calls = [...this.#calls.values()];
    await Promise.all([
      insertCalls(
        tx,
        token,
        calls.filter((call) => call.isNew),
      ),
      restoreCalls(
        tx,
        calls.filter((call) => call.isRestored),
      ),
    ]);
    const existing = calls.filter(({ isNew, callId }) => !isNew && withNewWatch.has(callId) && isWatched(callId));
    if (existing.length === 0) return;
    if (existing.some(({ isPolledByPeer }) => isPolledByPeer)) tx.changed.add("calls");
    await tx.run(
      `update calls c set watched = true, owner_token = case when u.by_peer then c.owner_token else $4 end,
         touched_at = case when u.by_peer then (extract(epoch from clock_timestamp()) * 1000)::bigint else c.touched_at end,
         unnotified_from = least(c.unnotified_from, u.unnotified)
       from unnest($1::bigint[], $2::boolean[], $3::bigint[]) as u(id, by_peer, unnotified) where c.id = u.id`,
      existing.map(({ callId }) => decodeId(callId)),
      existing.map(({ isPolledByPeer }) => isPolledByPeer),
      existing.map(({ callId }) => unnotified(callId)),
      token,
    );
  }
}

/** Inserts new calls. If another transaction has just inserted one of them, this transaction is repeated and finds it. */
async function insertCalls(tx: Transaction, token: number, calls: readonly LockedCall[]): Promise<void> {
  if (calls.length === 0) return;
  const inserted = await tx.run(
    `insert into calls (id, source_name, scope, call_sid, created_at, owner_token) select *, $6::bigint
     from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[]) on conflict (call_sid, source_name, scope) do nothing`,
    calls.map(({ callId }) => decodeId(callId)),
    calls.map(({ sourceName }) => sourceName),
    calls.map(({ scope }) => scopeKey(scope)),
    calls.map(({ callSid }) => callSid),
    calls.map(({ createdAtMs }) => createdAtMs),
    token,
  );
  if (inserted < calls.length) throw new TransactionOvertakenError();
}

async function restoreCalls(tx: Transaction, calls: readonly LockedCall[]): Promise<void> {
  if (calls.length === 0) return;
  await tx.run(
    `update calls set status = null, reason = '', details = null, terminal = false, observed_at = null, last_good_poll_at = null, version = version + 1,
       unnotified_from = null, mark = null where id = any($1)`,
    calls.map(({ callId }) => decodeId(callId)),
  );
}

/**
 * Finds the other live instances that own some of these locked calls. This is a statement of its own after the one that
 * locked the calls: a statement that waited for a lock reads the new owner of the call, but an old snapshot of `instances`.
 */
async function findOwningPeers(tx: Transaction, token: number, calls: readonly Row[]): Promise<ReadonlySet<number>> {
  const owners = new Set(calls.map((row) => integerOrNull(row, "owner_token")).filter((owner) => owner !== null && owner !== token));
  if (owners.size === 0) return new Set();
  const rows = await tx.all("select token from instances where token = any($1)", [...owners]);
  return new Set(rows.map((row) => integer(row, "token")));
}

/**
 * Reads the newest watch of each draft's account on its call for its URL. Each range of the index begins and ends with the
 * values of one draft, so that the other watches of a call are not read.
 */
async function readNewest(tx: Transaction, keys: ReadonlyMap<string, number>, drafts: readonly WatchDraft[]): Promise<readonly Watch[]> {
  const known = drafts.flatMap((draft) => {
    const callKey = keys.get(callName(draft.sourceName, draft.scope, draft.callSid));
    return callKey === undefined ? [] : [{ callKey, accountKey: decodeId(draft.accountId), url: draft.endpoint?.url ?? null }];
  });
  const rows = await tx.all(
    `select w.*, c.source_name, c.call_sid, c.mark as c_mark, n.url as callback_url, array(${goneKeysOf("w")}) as gone from (
       select distinct w.id, u.url from unnest($1::bigint[], $2::bigint[], $3::text[]) as u(call_id, account_id, url)
         join endpoints p on p.account_id = u.account_id and p.url = u.url
         cross join lateral (select id from watches where call_id = u.call_id and account_id = u.account_id and endpoint_id = p.id
             and (status || '') <> 'purged' order by id desc limit 1) w
       union all
       select distinct w.id, u.url from unnest($1::bigint[], $2::bigint[], $3::text[]) as u(call_id, account_id, url)
         cross join lateral (select id from watches where call_id = u.call_id and account_id = u.account_id and endpoint_id is null
           order by endpoint_id desc, id desc limit 1) w
       where u.url is null) n
     join watches w on w.id = n.id join calls c on c.id = w.call_id`,
    known.map(({ callKey }) => callKey),
    known.map(({ accountKey }) => accountKey),
    known.map(({ url }) => url),
  );
  return rows.map((row) => watchThroughMark(seenWatchOf(row), row));
}

function callOf(row: Row, peers: ReadonlySet<number>, watched: WatchedCall | null): LockedCall {
  const owner = integerOrNull(row, "owner_token");
  return {
    callId: id(row, "call", "id"),
    sourceName: text(row, "source_name"),
    scope: scopeOf(row),
    callSid: text(row, "call_sid"),
    createdAtMs: integer(row, "created_at"),
    transition: integer(row, "transitions"),
    isNew: false,
    isPolledByPeer: owner !== null && peers.has(owner),
    mark: markOf(row),
    watched,
    status: callStatusOf(row),
    version: integer(row, "version"),
    isRestored: false,
  };
}

/** A watch that a 410 has ended is not the same one, although its row may still be active. */
function seenWatchOf(row: Row): Watch {
  return watchOf(row["status"] === "active" && isGone(row) ? { ...row, status: "canceled", end_reason: "gone" } : row);
}

const nameOf = (row: Row) => callName(text(row, "source_name"), scopeOf(row), text(row, "call_sid"));
const callName = (sourceName: string, scope: string, callSid: string) => `${sourceName} ${scope} ${callSid}`;
const watchName = (callId: string, accountId: string, url: string | null) => `${callId} ${accountId} ${url ?? ""}`;
