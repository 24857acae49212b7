import { leastKeyAt } from "../../../domain/ids.ts";
import { sandboxSourceName } from "../../../domain/sources/sandbox.ts";
import type { AccountOverview } from "../../../ports/stores/account-store.ts";
import type { SqlQueries } from "../queries.ts";
import { id, integer, integerOrNull, text } from "../rows.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** Lists all accounts. `active` and `endpoints` are expressions over the row `a`, because each database counts in its own way. */
export async function listOverviews(
  db: SqlQueries,
  { active, endpoints }: { readonly active: string; readonly endpoints: string },
  nowMs: number,
): Promise<readonly AccountOverview[]> {
  const dayAtMs = nowMs - (nowMs % dayMs);
  // Ids sort by time, so that those of today are one range. The + keeps the planner off the indexes that begin with the account.
  const placed = await db.all(
    "select +account_id as account_id, count(*) as n from placings where id >= ?1 and created_at >= ?2 and source_name <> ?3 group by 1",
    leastKeyAt(dayAtMs),
    dayAtMs,
    sandboxSourceName,
  );
  const placedBy = new Map(placed.map((row) => [row["account_id"], integer(row, "n")]));
  const rows = await db.all(
    `select a.id, a.name, a.disabled_at, a.last_request_at, a.polls_minute, a.polls, ${active} as active, ${endpoints} as endpoints,
       (select coalesce(sum(m.remaining), 0) from marks m where m.account_id = a.id and m.kind = 'gone_watches') as settling,
       (select count(*) from hooks h where h.account_id = a.id and h.disabled_at is null) as hooks
     from accounts a order by a.id`,
  );
  const minute = Math.floor(nowMs / minuteMs);
  return rows.map((row) => ({
    id: id(row, "acc", "id"),
    name: text(row, "name"),
    disabledAtMs: integerOrNull(row, "disabled_at"),
    activeWatches: integer(row, "active") - integer(row, "settling"),
    endpoints: integer(row, "endpoints"),
    hooks: integer(row, "hooks"),
    pollsPerMinute: (integerOrNull(row, "polls_minute") ?? 0) >= minute - 2 ? integer(row, "polls") : 0,
    placedToday: placedBy.get(row["id"]) ?? 0,
    lastRequestAtMs: integerOrNull(row, "last_request_at"),
  }));
}
