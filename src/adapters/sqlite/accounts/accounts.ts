import { decodeId } from "../../../domain/ids.ts";
import type { AccountActivity, AccountOverview } from "../../../ports/stores/account-store.ts";
import { listOverviews } from "../../sql/accounts/overview.ts";
import type { Database } from "../connection/database.ts";

export const reads = { listAccounts };
export const writes = { recordActivity };

const usage = (column: string) => `(select u.${column} from account_usage u where u.account_id = a.id)`;

function listAccounts(db: Database, nowMs: number): Promise<readonly AccountOverview[]> {
  return listOverviews(db, { active: usage("active"), endpoints: usage("endpoints") }, nowMs);
}

function recordActivity(db: Database, activities: readonly AccountActivity[]): void {
  for (const { accountId, minute, polls, lastRequestAtMs } of activities)
    db.run(
      `update accounts set last_request_at = max(coalesce(last_request_at, ?2), coalesce(?2, last_request_at)),
         polls = case when ?4 = 0 or polls_minute > ?3 then polls when polls_minute = ?3 then polls + ?4 else ?4 end,
         polls_minute = case when ?4 = 0 then polls_minute else max(coalesce(polls_minute, 0), ?3) end
       where id = ?1`,
      decodeId(accountId),
      lastRequestAtMs,
      minute,
      polls,
    );
}
