import { decodeId } from "../../../domain/ids.ts";
import type { CallStatus } from "../../../domain/calls/call.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import type { WatchDraft } from "../../../ports/stores/registration-store.ts";
import type { Row } from "../../sql/rows.ts";
import { callStatusOf, id, integer, integerOrNull, scopeKey, scopeOf, text, watchOf } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
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
  status: CallStatus;
  version: number;
  isRestored: boolean;
};

const unobserved: CallStatus = { status: null, reason: "", terminal: false, observedAtMs: null, lastGoodPollAtMs: null };

/** Calls that registrations name. `load` locks existing calls before it reads their watches, so that no transition intervenes. */
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
    const watches =
      rows.length === 0
        ? []
        : await tx.all(
            `select distinct on (w.call_id, w.account_id, w.endpoint_id) w.*, c.source_name, c.call_sid, p.url as callback_url
             from watches w join calls c on c.id = w.call_id left join endpoints p on p.id = w.endpoint_id
             where w.call_id = any($1) and w.account_id = any($2) order by w.call_id, w.account_id, w.endpoint_id, w.id desc`,
            rows.map((row) => integer(row, "id")),
            [...new Set(drafts.map(({ accountId }) => decodeId(accountId)))],
          );
    return new LockedCalls(rows, await findOwningPeers(tx, token, rows), watches.map(watchOf));
  }

  private constructor(rows: readonly Row[], peers: ReadonlySet<number>, watches: readonly Watch[]) {
    this.#calls = new Map(rows.map((row) => [callName(text(row, "source_name"), scopeOf(row), text(row, "call_sid")), callOf(row, peers)]));
    for (const watch of watches) this.#newest.set(watchName(watch.callId, watch.accountId, watch.callbackUrl), watch);
  }

  /** Keys of the calls that existed before this transaction. */
  get knownKeys(): readonly number[] {
    return [...this.#calls.values()].filter(({ isNew }) => !isNew).map(({ callId }) => decodeId(callId));
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
   * the call is marked as touched, so that its owner reads it again.
   */
  async write(tx: Transaction, token: number, isWatched: (callId: string) => boolean, withNewWatch: ReadonlySet<string>): Promise<void> {
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
      `update calls c set watched = true, owner_token = case when u.by_peer then c.owner_token else $3 end,
         touched_at = case when u.by_peer then (extract(epoch from clock_timestamp()) * 1000)::bigint else c.touched_at end
       from unnest($1::bigint[], $2::boolean[]) as u(id, by_peer) where c.id = u.id`,
      existing.map(({ callId }) => decodeId(callId)),
      existing.map(({ isPolledByPeer }) => isPolledByPeer),
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
    `update calls set status = null, reason = '', terminal = false, observed_at = null, last_good_poll_at = null, version = version + 1
     where id = any($1)`,
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

function callOf(row: Row, peers: ReadonlySet<number>): LockedCall {
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
    status: callStatusOf(row),
    version: integer(row, "version"),
    isRestored: false,
  };
}

const callName = (sourceName: string, scope: string, callSid: string) => `${sourceName} ${scope} ${callSid}`;
const watchName = (callId: string, accountId: string, url: string | null) => `${callId} ${accountId} ${url ?? ""}`;
