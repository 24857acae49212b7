import { decodeId } from "../../../domain/ids.ts";
import type { AccountActivity, AccountOverview } from "../../../ports/stores/account-store.ts";
import { listOverviews } from "../../sql/accounts/overview.ts";
import type { Queries } from "../connection/queries.ts";
import type { Transaction } from "../connection/transaction.ts";

export const reads = { listAccounts };
export const writes = { recordActivity };

const counted = (what: string) => `((select coalesce(sum(n), 0) from counts where owner_id = a.id and what = '${what}')
  + (select coalesce(sum(n), 0) from count_changes where owner_id = a.id and what = '${what}'))`;

function listAccounts(db: Queries, nowMs: number): Promise<readonly AccountOverview[]> {
  return listOverviews(db, { active: counted("watches active"), endpoints: counted("endpoints") }, nowMs);
}

/** Instances that record together add up: the rows are locked in one order. */
async function recordActivity(tx: Transaction, activities: readonly AccountActivity[]): Promise<void> {
  const accountKeys = activities.map(({ accountId }) => decodeId(accountId));
  await Promise.all([
    tx.run("select 1 from accounts where id = any($1) order by id for no key update", accountKeys),
    tx.run(
      `update accounts a set last_request_at = greatest(a.last_request_at, u.last_request_at),
         polls = case when u.polls = 0 or a.polls_minute > u.minute then a.polls when a.polls_minute = u.minute then a.polls + u.polls else u.polls end,
         polls_minute = case when u.polls = 0 then a.polls_minute else greatest(a.polls_minute, u.minute) end
       from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[]) as u(id, last_request_at, minute, polls) where a.id = u.id`,
      accountKeys,
      activities.map(({ lastRequestAtMs }) => lastRequestAtMs),
      activities.map(({ minute }) => minute),
      activities.map(({ polls }) => polls),
    ),
  ]);
}
