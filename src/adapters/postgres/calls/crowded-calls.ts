import { concernsAll } from "../../../domain/calls/call-mark.ts";
import type { CallMark } from "../../../domain/calls/call-mark.ts";
import type { CallChange } from "../../../domain/calls/call.ts";
import type { Watch } from "../../../domain/calls/watch.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { CallCommit } from "../../../ports/stores/call-store.ts";
import type { Row } from "../../sql/rows.ts";
import { integer, integerOrNull, id, watchOf } from "../../sql/rows.ts";
import { isGone } from "../../sql/marks/marked-rows.ts";
import { isOfDisabled, isOfEnabled } from "../accounts/disabled-accounts.ts";
import { goneKeysOf } from "../marks/set-mark.ts";
import type { Transaction } from "../connection/transaction.ts";

// Reads of calls with more active watches than one transaction writes. Each reads a bounded number of index entries. The
// ranges and orders name all columns of an index, because with an equation the planner may read all ids of the table in order.

/** An active watch. `sparedBy` is the version of the mark that ran when it was registered; `null` if none did. */
export type PortionWatch = Watch & { readonly sparedBy: number | null };

const active = "call_id <= $1 and status = 'active'";

/**
 * Reads and locks the watches that a commit without a change of status concerns: those past their deadline, and those without
 * an event. Ordered by account and id. Returns `null` if they are more than `limit`.
 */
export async function readConcerned(
  tx: Transaction,
  call: Row,
  { changes, confirmed, nowMs, callId }: CallCommit,
  limit: number,
): Promise<readonly PortionWatch[] | null> {
  const callKey = decodeId(callId);
  const unnotifiedFrom = integerOrNull(call, "unnotified_from");
  const [due, withoutEvent] = await Promise.all([
    changes.some(({ kind }) => kind === "expire")
      ? tx.all(
          `select id from watches where (call_id, expires_at) >= ($1, 0) and ${active} and expires_at <= $2 and ${isOfEnabled("account_id")} order by call_id, expires_at limit $3`,
          callKey,
          nowMs,
          limit + 1,
        )
      : [],
    confirmed && unnotifiedFrom !== null
      ? tx.all(
          `select id from watches where (call_id, id) >= ($1, $2) and ${active} and sequence = 0 order by call_id, id limit $3`,
          callKey,
          unnotifiedFrom,
          limit + 1,
        )
      : [],
  ]);
  const keys = new Set([...due, ...withoutEvent].map((row) => row["id"] as number));
  return keys.size > limit ? null : readByKeys(tx, [...keys]);
}

/**
 * Reads and locks at most `limit` watches behind the position of a mark, by account and id. Watches that the mark spares are
 * among them, those that it does not concern are not. `done` is the position behind them; `null` if no watch is left.
 */
export async function readPortion(
  tx: Transaction,
  callKey: number,
  mark: CallMark,
  limit: number,
): Promise<{ readonly watches: readonly PortionWatch[]; readonly done: CallMark["done"] }> {
  const rows = await tx.all(
    `select id, account_id, sequence, expires_at from watches where (call_id, account_id, id) > ($1, $2, $3) and ${active} order by call_id, account_id, id limit $4`,
    callKey,
    mark.done === null ? -1 : decodeId(mark.done.accountId),
    mark.done === null ? -1 : decodeId(mark.done.watchId),
    limit + 1,
  );
  const portion = rows.slice(0, limit);
  const last = portion.at(-1);
  const isConcerned = (row: Row) => concernsAll(mark.changes) || integer(row, "sequence") === 0 || integer(row, "expires_at") <= mark.nowMs;
  // The others are passed without a lock.
  const watches = await readByKeys(
    tx,
    portion.filter(isConcerned).map((row) => integer(row, "id")),
  );
  const isLast = last === undefined || rows.length <= limit;
  return { watches, done: isLast ? null : { accountId: id(last, "acc", "account_id"), watchId: id(last, "wch", "id") } };
}

/** Reads and locks one active watch; `null` if it has ended. */
export async function readOne(tx: Transaction, watchKey: number): Promise<PortionWatch | null> {
  return (await readByKeys(tx, [watchKey]))[0] ?? null;
}

async function readByKeys(tx: Transaction, keys: readonly number[]): Promise<readonly PortionWatch[]> {
  if (keys.length === 0) return [];
  const rows = await tx.all(
    `select w.*, c.source_name, c.call_sid, c.mark as c_mark, null as callback_url, array(${goneKeysOf("w")}) as gone, ${isOfDisabled("w.account_id")} as waits,
       coalesce((select p.retirements > w.retirements from endpoints p where p.id = w.endpoint_id), false) as is_retired
     from watches w join calls c on c.id = w.call_id
     where w.id = any($1) and (w.status || '') = 'active' order by w.id for no key update of w`,
    keys,
  );
  return rows
    .filter((row) => !isGone(row))
    .map((row) => ({
      ...watchWithDeadline(row),
      // Nothing is sent to an endpoint that answered 410 since.
      ...(row["is_retired"] === true ? { endpointId: null } : {}),
      sparedBy: integerOrNull(row, "spared_by"),
    }))
    .toSorted((a, b) => decodeId(a.accountId) - decodeId(b.accountId) || decodeId(a.id) - decodeId(b.id));
}

/** Reads a watch whose row says whether its deadline waits, because its account is disabled. */
export function watchWithDeadline(row: Row): Watch {
  return row["waits"] === true ? { ...watchOf(row), expiresAtMs: Infinity } : watchOf(row);
}

/** Returns those of the accounts that have a watch on the call that a change leaves active. */
export async function findStillWatching(
  tx: Transaction,
  callKey: number,
  accountIds: readonly string[],
  change: CallChange | null,
  { nowMs, version }: Pick<CallMark, "nowMs" | "version">,
): Promise<ReadonlySet<string>> {
  const survives = survivalOf(change, nowMs);
  if (survives === null || accountIds.length === 0) return new Set();
  const [condition, ...values] = survives;
  const rows = await tx.all(
    `select u.account_id from unnest($2::bigint[]) as u(account_id) where exists (select 1 from (
       select 1 from watches where (call_id, account_id, id) <= ($1, u.account_id, ${Number.MAX_SAFE_INTEGER}) and (call_id, account_id) >= ($1, u.account_id)
         and status = 'active' and (spared_by = $3 or ${condition}) order by call_id desc, account_id desc, id desc limit 1) survivor)`,
    callKey,
    accountIds.map(decodeId),
    version,
    ...values,
  );
  return new Set(rows.map((row) => id(row, "acc", "account_id")));
}

/** Returns the accounts whose oldest active watch on the call is not among these, which are ordered by account and id. */
export async function findWithOlder(tx: Transaction, callKey: number, watches: readonly PortionWatch[]): Promise<ReadonlySet<string>> {
  const oldest = new Map<string, string>();
  for (const watch of watches) if (!oldest.has(watch.accountId)) oldest.set(watch.accountId, watch.id);
  if (oldest.size === 0) return new Set();
  const rows = await tx.all(
    `select u.account_id from unnest($2::bigint[], $3::bigint[]) as u(account_id, watch_id) where exists (select 1 from (
       select 1 from watches where (call_id, account_id, id) >= ($1, u.account_id, 0) and (call_id, account_id, id) < ($1, u.account_id, u.watch_id)
         and status = 'active' order by call_id, account_id, id limit 1) older)`,
    callKey,
    [...oldest.keys()].map(decodeId),
    [...oldest.values()].map(decodeId),
  );
  return new Set(rows.map((row) => id(row, "acc", "account_id")));
}

/** Condition on a watch that a change leaves active, for changes that end some of the watches alone. */
function survivalOf(change: CallChange | null, nowMs: number): readonly [condition: string, ...values: readonly number[]] | null {
  if (change?.kind === "expire") return ["expires_at > $4", nowMs];
  if (change?.kind === "end" && change.spares !== null)
    return ["created_at > $4 and created_at <= $5", change.spares.afterMs, change.spares.untilMs];
  return null;
}
