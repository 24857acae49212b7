import { decodeId } from "../../../domain/ids.ts";
import type { InstanceStore } from "../../../ports/stores/instance-store.ts";
import type { CallStore } from "../../../ports/stores/call-store.ts";
import { integer, text } from "../../sql/rows.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";

export const ownerWrites = { releaseCalls };

/*
 * A watched call is unowned if its owner_token is null or has no row in `instances`: an eviction does not rewrite the calls
 * of the evicted instance. The tokens without a row are found by stepping through the index from owner to owner, one step
 * for each owner, regardless of the number of its calls. A call with such a token was left by an instance that is gone. An
 * instance that stops releases its calls to token 0, which never has a row; released calls without a token are for balance.
 */

/** Owner token of calls that an instance released when it stopped. */
const stoppedToken = 0;

/** SQL query: owner tokens of watched calls without a row in `instances`. */
export const deadOwners = `
  with recursive owners as (
    (select owner_token from calls where watched and owner_token is not null order by owner_token limit 1)
    union all
    select (select c.owner_token from calls c where c.watched and c.owner_token > o.owner_token order by c.owner_token limit 1)
    from owners o where o.owner_token is not null)
  select owner_token from owners o where o.owner_token is not null and not exists (select 1 from instances i where i.token = o.owner_token)`;

/** Counts unowned calls by source name. */
export async function countUnowned(db: Queries): ReturnType<InstanceStore["countUnownedCalls"]> {
  const rows = await db.all(
    `select source_name, count(*) filter (where owner_token is null) as released, count(owner_token) as "left" from calls where watched and (owner_token is null or owner_token = any(array(${deadOwners}))) group by source_name`,
  );
  return Object.fromEntries(
    rows.map((row) => [text(row, "source_name"), { released: integer(row, "released"), left: integer(row, "left") }]),
  );
}

/** Counts the calls of a source that each of these instances owns. */
export async function countOwned(db: Queries, sourceName: string, tokens: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const rows = await db.all(
    "select owner_token, count(*) as n from calls where watched and owner_token = any($1) and source_name = $2 group by owner_token",
    tokens,
    sourceName,
  );
  return new Map(rows.map((row) => [integer(row, "owner_token"), integer(row, "n")]));
}

/** Reads a page of the keys of the calls that an instance owns. */
export async function listOwned(db: Queries, token: number, afterKey: number, limit: number): Promise<readonly number[]> {
  const rows = await db.all(
    "select id from calls where watched and owner_token = $1 and id > $2 order by id limit $3",
    token,
    afterKey,
    limit,
  );
  return rows.map((row) => integer(row, "id"));
}

/**
 * Assigns at most `limit` unowned calls of a source to this instance and returns their keys. Skips calls that another
 * instance is claiming at the same time. Evicted owners are handled one by one in the order of the index: with all of them
 * in one condition, or without an order, the planner scans the table, because it does not know that nearly all calls are
 * owned.
 */
export async function claimUnowned(
  tx: Transaction,
  token: number,
  { sourceName, limit, isLeft, deadlineBeforeMs }: Parameters<InstanceStore["claimCalls"]>[0],
): Promise<readonly number[]> {
  const evicted = (await tx.all(deadOwners)).map((row) => integer(row, "owner_token"));
  const deadlineCondition =
    deadlineBeforeMs === null
      ? ""
      : "and (select min(w.expires_at) from watches w where w.call_id = calls.id and w.status = 'active') < $5";
  const claimed: number[] = [];
  for (const owner of isLeft ? evicted : [null, ...evicted]) {
    if (claimed.length >= limit) break;
    const rows = await tx.all(
      `update calls set owner_token = $1, touched_at = null where id = any(array(
         select id from calls where watched and ${owner === null ? "owner_token is null and $2::bigint is null" : "owner_token = $2"} and source_name = $3 ${deadlineCondition}
         order by id limit $4 for no key update skip locked))
       returning id`,
      token,
      owner,
      sourceName,
      limit - claimed.length,
      ...(deadlineBeforeMs === null ? [] : [deadlineBeforeMs]),
    );
    claimed.push(...rows.map((row) => integer(row, "id")));
  }
  return claimed;
}

/** Releases calls that this instance owns, so that any instance may claim them. */
async function releaseCalls(tx: Transaction, token: number, ...[calls, why]: Parameters<CallStore["releaseCalls"]>): Promise<void> {
  if (calls.length === 0) return;
  const callKeys = calls.map(({ callId }) => decodeId(callId));
  tx.changed.add("calls");
  await Promise.all([
    tx.run("select 1 from calls where id = any($1) order by id for no key update", callKeys),
    tx.run(
      `update calls c set owner_token = $4, touched_at = null, last_good_poll_at = coalesce(u.last_good_poll_at, c.last_good_poll_at)
       from unnest($1::bigint[], $2::bigint[]) as u(id, last_good_poll_at) where c.id = u.id and c.owner_token = $3`,
      callKeys,
      calls.map(({ lastGoodPollAtMs }) => lastGoodPollAtMs),
      token,
      why === "stop" ? stoppedToken : null,
    ),
  ]);
}
