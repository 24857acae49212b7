import type { Queries, Transaction } from "../connection/database.ts";
import type { InstanceStore } from "../../../ports/stores/instance-store.ts";
import { integer, text } from "../../sql/rows.ts";

/*
 * A watched call is free when it names no owner, or one that has no row any more: nobody rewrites the calls of an
 * instance that is gone. Which owners are gone is found by going from owner to owner through the index, one step for
 * each, however many calls they have.
 */

/** The owners of watched calls that are no instances. */
export const deadOwners = `
  with recursive owners as (
    (select owner_token from calls where watched and owner_token is not null order by owner_token limit 1)
    union all
    select (select c.owner_token from calls c where c.watched and c.owner_token > o.owner_token order by c.owner_token limit 1)
    from owners o where o.owner_token is not null)
  select owner_token from owners o where o.owner_token is not null and not exists (select 1 from instances i where i.token = o.owner_token)`;

/** Free ones by source. */
export async function countUnowned(db: Queries): Promise<Readonly<Record<string, number>>> {
  const rows = await db.all(
    `select source_name, count(*) as n from calls where watched and (owner_token is null or owner_token = any(array(${deadOwners}))) group by source_name`,
  );
  return Object.fromEntries(rows.map((row) => [text(row, "source_name"), integer(row, "n")]));
}

/**
 * Gives at most `limit` free calls of a source to an owner; those that somebody else is taking are left to it. Former
 * owners one by one, in the order of the index: with all of them in one condition, or without an order, the planner
 * prefers to walk through the table, for it cannot know that nearly all of it is owned.
 */
export async function claimUnowned(
  tx: Transaction,
  token: number,
  { sourceName, limit, deadlineBeforeMs }: Parameters<InstanceStore["claimCalls"]>[0],
): Promise<readonly string[]> {
  const dead = (await tx.all(deadOwners)).map((row) => integer(row, "owner_token"));
  const isMeant =
    deadlineBeforeMs === null
      ? ""
      : "and (select min(w.expires_at) from watches w where w.call_id = calls.id and w.status = 'active') < $5";
  const claimed: string[] = [];
  for (const owner of [null, ...dead]) {
    if (claimed.length >= limit) break;
    const rows = await tx.all(
      `update calls set owner_token = $1, touched_at = null where id = any(array(
         select id from calls where watched and ${owner === null ? "owner_token is null and $2::bigint is null" : "owner_token = $2"} and source_name = $3 ${isMeant}
         order by id limit $4 for no key update skip locked))
       returning id`,
      token,
      owner,
      sourceName,
      limit - claimed.length,
      ...(deadlineBeforeMs === null ? [] : [deadlineBeforeMs]),
    );
    claimed.push(...rows.map((row) => text(row, "id")));
  }
  return claimed;
}
