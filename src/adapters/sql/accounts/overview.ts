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
  const rows = await db.all(
    `select a.id, a.name, a.disabled_at, a.last_request_at, a.polls_minute, a.polls, ${active} as active, ${endpoints} as endpoints,
       (select coalesce(sum(m.remaining), 0) from marks m where m.account_id = a.id and m.kind = 'gone_watches') as settling,
       (select count(*) from hooks h where h.account_id = a.id and h.disabled_at is null) as hooks,
       (select count(*) from placings p where p.account_id = a.id and p.id >= ?1 and p.created_at >= ?2 and p.source_name <> ?3) as placed
     from accounts a order by a.id`,
    leastKeyAt(nowMs - (nowMs % dayMs)),
    nowMs - (nowMs % dayMs),
    sandboxSourceName,
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
    placedToday: integer(row, "placed"),
    lastRequestAtMs: integerOrNull(row, "last_request_at"),
  }));
}
