import type { CallMark } from "../../../domain/calls/call-mark.ts";
import type { CallChange } from "../../../domain/calls/call.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { CallCommit } from "../../../ports/stores/call-store.ts";
import { disabledKeys, isOfEnabled } from "../accounts/disabled-accounts.ts";
import type { Database } from "../connection/database.ts";
import { readWatchesBy } from "./active-watches.ts";
import type { ActiveWatch, CallWithWatches } from "./active-watches.ts";

// Reads of calls with more active watches than one transaction writes. Each reads a bounded number of index entries.

/**
 * Reads the watches that a commit without a change of status concerns: those past their deadline, and those without an event.
 * Ordered by account and id. Returns `null` if they are more than `limit`.
 */
export function readConcerned(
  db: Database,
  { call, unnotifiedFrom }: CallWithWatches,
  { callId, changes, confirmed, nowMs }: CallCommit,
  limit: number,
): readonly ActiveWatch[] | null {
  const callKey = decodeId(callId);
  const due = changes.some(({ kind }) => kind === "expire")
    ? readWatchesBy(
        db,
        call,
        "watches_deadlines",
        disabledKeys(db).size === 0 ? "w.expires_at <= ?" : `w.expires_at <= ? and ${isOfEnabled("w.account_id")}`,
        callKey,
        nowMs,
        limit + 1,
      )
    : [];
  const withoutEvent =
    confirmed && unnotifiedFrom !== null
      ? readWatchesBy(db, call, "watches_active", "w.id >= ? and w.sequence = 0", callKey, unnotifiedFrom, limit + 1)
      : [];
  const concerned = new Map([...due, ...withoutEvent].map((watch) => [watch.id, watch]));
  return concerned.size > limit ? null : [...concerned.values()].toSorted(byAccountAndId);
}

/** Reads at most `limit` watches behind the position of a mark, by account and id. Watches that the mark spares are among them. */
export function readPortion(
  db: Database,
  { call }: CallWithWatches,
  callKey: number,
  { done }: CallMark,
  limit: number,
): readonly ActiveWatch[] {
  const index = "watches_active_of_account";
  const order = "order by w.account_id, w.id";
  // Two ranges, because SQLite enters no index at a pair of columns that ends with the id.
  const accountKey = done === null ? -1 : decodeId(done.accountId);
  const rest =
    done === null
      ? []
      : readWatchesBy(db, call, index, `w.account_id = ? and w.id > ? ${order}`, callKey, accountKey, decodeId(done.watchId), limit);
  if (rest.length === limit) return rest;
  return [...rest, ...readWatchesBy(db, call, index, `w.account_id > ? ${order}`, callKey, accountKey, limit - rest.length)];
}

/** Returns those of the accounts that have a watch on the call, beside `watchKeys`, that a change leaves active. */
export function findStillWatching(
  db: Database,
  callKey: number,
  accountIds: Iterable<string>,
  change: CallChange | null,
  { nowMs, version }: Pick<CallMark, "nowMs" | "version">,
): ReadonlySet<string> {
  const survives = survivalOf(change, nowMs);
  if (survives === null) return new Set();
  const [condition, ...values] = survives;
  const found = [...new Set(accountIds)].filter(
    (accountId) =>
      db.get(
        `select 1 from watches w indexed by watches_active_of_account
         where w.call_id = ? and w.account_id = ? and w.status = 'active' and (w.spared_by = ? or ${condition}) order by w.id desc limit 1`,
        callKey,
        decodeId(accountId),
        version,
        ...values,
      ) !== undefined,
  );
  return new Set(found);
}

/** Returns the accounts whose oldest active watch on the call is not among these, which are ordered by account and id. */
export function findWithOlder(db: Database, callKey: number, watches: readonly ActiveWatch[]): ReadonlySet<string> {
  const oldest = new Map<string, string>();
  for (const { accountId, id } of watches) if (!oldest.has(accountId)) oldest.set(accountId, id);
  const found = [...oldest].filter(
    ([accountId, watchId]) =>
      db.get(
        `select 1 from watches w indexed by watches_active_of_account
         where w.call_id = ? and w.account_id = ? and w.status = 'active' and w.id < ? limit 1`,
        callKey,
        decodeId(accountId),
        decodeId(watchId),
      ) !== undefined,
  );
  return new Set(found.map(([accountId]) => accountId));
}

/** Condition on a watch `w` that a change leaves active, for changes that end some of the watches alone. */
function survivalOf(change: CallChange | null, nowMs: number): readonly [condition: string, ...values: readonly number[]] | null {
  if (change?.kind === "expire") return ["w.expires_at > ?", nowMs];
  if (change?.kind === "end" && change.spares !== null)
    return ["w.created_at > ? and w.created_at <= ?", change.spares.afterMs, change.spares.untilMs];
  return null;
}

function byAccountAndId(a: ActiveWatch, b: ActiveWatch): number {
  return decodeId(a.accountId) - decodeId(b.accountId) || decodeId(a.id) - decodeId(b.id);
}
