import { goneMarkOf, statusesOf } from "../../../domain/deliveries/marks.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { MarkStore, SweptPortion } from "../../../ports/stores/mark-store.ts";
import { mayErase } from "../../sql/accounts/erasure.ts";
import { markOf, nextMark } from "../../sql/marks/mark-rows.ts";
import type { MarkPortion } from "../../sql/marks/mark-rows.ts";
import { markedWatchColumns, markedWatchOf } from "../../sql/marks/marked-rows.ts";
import { integer } from "../../sql/rows.ts";
import { endWatches } from "../attempts/ended-watches.ts";
import { eraseAccount } from "../accounts/erasure.ts";
import { deleteUnwatchedCalls, readWatchedCalls } from "../calls/watched-calls.ts";
import type { Transaction } from "../connection/transaction.ts";
import { lockEndpoints, raiseHosts } from "../deliveries/due-bounds.ts";
import { keysOf, lockLanes, readMarked, writeEffects } from "./marked-deliveries.ts";
import { advanceMark, endMark } from "./set-mark.ts";

export const writes = { sweepMark };

/** Class of the advisory locks of accounts whose marks are carried out; an arbitrary number. */
const lockClass = 746_462;

/** Carries out a portion, unless another instance does: the lock ends with the transaction, also on a lost connection. */
async function sweepMark(tx: Transaction, { accountId, nowMs }: Parameters<MarkStore["sweepMark"]>[0]): Promise<SweptPortion> {
  const accountKey = decodeId(accountId);
  const lock = await tx.get(
    "select pg_try_advisory_xact_lock($1::integer, ($2::bigint % 2147483647)::integer) as taken",
    lockClass,
    accountKey,
  );
  if (lock?.["taken"] !== true) return { kind: "nothing" };
  const row = await tx.get(nextMark, accountKey);
  if (row === undefined) return { kind: "nothing" };
  const mark = markOf(row);
  if (mark.kind === "account_removed") return mayErase(mark, nowMs) ? sweepErasure(tx, mark) : { kind: "nothing" };
  const { doneKey, rows, settled = 0, unwatchedCallIds = [], resumedCalls = [], notices = [] } = await sweepPortion(tx, mark, nowMs);
  if (doneKey === null) await endMark(tx, mark);
  else await advanceMark(tx, mark, doneKey, settled);
  return { kind: "swept", markKind: mark.kind, done: doneKey === null, rows, unwatchedCallIds, resumedCalls, notices, jobs: [] };
}

async function sweepErasure(tx: Transaction, mark: Mark): Promise<SweptPortion> {
  const { isDone, ...erased } = await eraseAccount(tx, mark);
  if (isDone) await endMark(tx, mark);
  return { kind: "swept", markKind: mark.kind, done: isDone, ...erased, notices: [], jobs: [] };
}

function sweepPortion(tx: Transaction, mark: Mark, nowMs: number): Promise<MarkPortion> {
  switch (mark.kind) {
    case "gone_watches":
      return sweepWatches(tx, mark, nowMs);
    case "watch_deleted":
      return sweepDeliveries(tx, mark, nowMs, {
        select: "select id from deliveries where watch_id = $1 and status = 'pending' and id > $2 and id <= $3 order by (id + 0) limit $4",
        endpointKeys: mark.detail.held ?? [],
      });
    case "watch_purged":
      return purgeWatch(tx, mark);
    case "calls_resumed":
      return resumeCalls(tx, mark);
    case "hosts_opened":
      return openHosts(tx, mark);
    default:
      return sweepDeliveries(tx, mark, nowMs, { select: selectOfEndpoint(mark), endpointKeys: [mark.targetKey] });
  }
}

/** Selects the next deliveries of an endpoint, in the order of their keys over all statuses that the mark reads. */
function selectOfEndpoint({ kind }: Mark): string {
  const ranges = statusesOf(kind).map(
    (status) =>
      `(select id from deliveries where (endpoint_id, status, id) > ($1, '${status}', $2) and (endpoint_id, status, id) <= ($1, '${status}', $3)
         order by endpoint_id, status, id limit $4)`,
  );
  return `select id from (${ranges.join(" union all ")}) found order by id limit $4`;
}

/** Ends the next watches of an endpoint that answered 410. */
async function sweepWatches(tx: Transaction, mark: Mark, nowMs: number): Promise<MarkPortion> {
  const { portion } = tx.markSizes;
  const rows = await tx.all(
    `select id, call_id from watches
     where endpoint_id is not null and (endpoint_id, status, id) > ($1, 'active', $2) and (endpoint_id, status, id) <= ($1, 'active', $3)
     order by endpoint_id, status, id limit $4`,
    mark.targetKey,
    mark.doneKey,
    mark.lastKey,
    portion,
  );
  const callKeys = [...new Set(rows.map((row) => integer(row, "call_id")))];
  const [, found] = await Promise.all([
    tx.run("select 1 from calls where id = any($1) order by id for no key update", callKeys),
    tx.all(
      `select ${markedWatchColumns} from watches w join calls c on c.id = w.call_id where w.id = any($1) order by w.id for no key update of w`,
      rows.map((row) => integer(row, "id")),
    ),
  ]);
  const covered = found.filter((row) => goneMarkOf(markedWatchOf(row), [mark]) !== null);
  const watchKeys = covered.map((row) => integer(row, "id"));
  const ended = await endWatches(tx, watchKeys, Math.min(mark.createdAtMs, nowMs));
  return {
    doneKey: rows.length < portion ? null : integer(rows.at(-1) ?? {}, "id"),
    rows: ended.notices.length,
    settled: watchKeys.length,
    ...ended,
  };
}

/**
 * Has the calls of the next watches of an account that is enabled again polled. This instance takes those that none polls; the
 * owners of the others read them again.
 */
async function resumeCalls(tx: Transaction, { accountKey, doneKey }: Mark): Promise<MarkPortion> {
  const { portion } = tx.markSizes;
  const rows = await tx.all(
    `select id, call_id from watches where (account_id, status, id) > ($1, 'active', $2) and (account_id, status) <= ($1, 'active')
     order by account_id, status, id limit $3`,
    accountKey,
    doneKey,
    portion,
  );
  const callKeys = [...new Set(rows.map((row) => integer(row, "call_id")))];
  await tx.run("select 1 from calls where id = any($1) order by id for no key update", callKeys);
  const watched = await readWatchedCalls(tx, callKeys);
  const watchedKeys = watched.map(({ callId }) => decodeId(callId));
  await tx.run(
    `update calls set watched = true, owner_token = case when watched then owner_token else $2 end,
       touched_at = case when watched and owner_token is distinct from $2 then (extract(epoch from clock_timestamp()) * 1000)::bigint else touched_at end
     where id = any($1)`,
    watchedKeys,
    tx.token,
  );
  tx.changed.add("calls");
  const own = await tx.all("select id from calls where id = any($1) and owner_token = $2", watchedKeys, tx.token);
  const ownKeys = new Set(own.map((row) => integer(row, "id")));
  return {
    doneKey: rows.length < portion ? null : integer(rows.at(-1) ?? {}, "id"),
    rows: watched.length,
    resumedCalls: watched.filter(({ callId }) => ownKeys.has(decodeId(callId))),
  };
}

/** Makes what is pending at the next hosts of an account that is enabled again claimable. */
async function openHosts(tx: Transaction, { accountKey, doneKey }: Mark): Promise<MarkPortion> {
  const { portion } = tx.markSizes;
  const keys = await keysOf(
    tx,
    "select id from hosts where (account_id, id) > ($1, $2) and account_id <= $1 order by account_id, id limit $3",
    accountKey,
    doneKey,
    portion,
  );
  await raiseHosts(tx, keys);
  tx.changed.add("deliveries");
  return { doneKey: keys.length < portion ? null : (keys.at(-1) ?? null), rows: keys.length };
}

/** Changes the next deliveries of a select. */
async function sweepDeliveries(
  tx: Transaction,
  mark: Mark,
  nowMs: number,
  { select, endpointKeys }: { readonly select: string; readonly endpointKeys: readonly number[] },
): Promise<MarkPortion> {
  const { portion } = tx.markSizes;
  const keys = await keysOf(tx, select, mark.targetKey, mark.doneKey, mark.lastKey, portion);
  await lockLanes(tx, keys, endpointKeys);
  const { rows, settled } = await writeEffects(tx, mark, await readMarked(tx, keys), nowMs);
  return { doneKey: keys.length < portion ? null : (keys.at(-1) ?? null), rows, settled };
}

/** Deletes the next deliveries of a purged watch, then its events, and the watch and its call last. */
async function purgeWatch(tx: Transaction, mark: Mark): Promise<MarkPortion> {
  const { portion } = tx.markSizes;
  const watch = await tx.get("select call_id from watches where id = $1", mark.targetKey);
  if (watch !== undefined) await tx.run("select 1 from calls where id = $1 for update", integer(watch, "call_id"));
  await tx.run("select 1 from watches where id = $1 for update", mark.targetKey);
  await lockEndpoints(tx, mark.detail.held ?? []);
  const deliveries = await tx.run(
    `delete from deliveries where id = any(array(
       select d.id from events e join deliveries d on d.event_position = e.position where e.watch_id = $1 limit $2))`,
    mark.targetKey,
    portion,
  );
  if (deliveries > 0) return { doneKey: mark.doneKey, rows: deliveries };
  const events = await tx.run(
    "delete from events where position = any(array(select position from events where watch_id = $1 order by watch_id, sequence limit $2))",
    mark.targetKey,
    portion,
  );
  if (events === portion) return { doneKey: mark.doneKey, rows: events };
  await tx.run("delete from watches where id = $1", mark.targetKey);
  if (watch !== undefined) await deleteUnwatchedCalls(tx, [integer(watch, "call_id")]);
  return { doneKey: null, rows: events + 1 };
}
