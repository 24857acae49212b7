import { endingOf, endedStatus } from "../../../domain/calls/call-mark.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { Page, ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import { leftActive, markOf } from "../call-marks.ts";
import { encodeCursor } from "../cursor.ts";
import type { SqlQueries } from "../queries.ts";
import { integer } from "../rows.ts";
import type { Row } from "../rows.ts";
import { watchViewOf } from "../view-rows.ts";
import { listByIds } from "./page.ts";

type Query = Parameters<ReadStore["listWatches"]>[0];
type ListWatches = (query: Query) => Promise<Page<WatchView>>;

/**
 * Lists watches by the status that running marks of their calls show. `list` selects by the status of the rows, which is the
 * same unless the account has a watch on a call whose mark ends watches.
 */
export async function listThroughMarks(db: SqlQueries, watchSelect: string, query: Query, list: ListWatches): Promise<Page<WatchView>> {
  if (query.status === null) return list(query);
  const marked = await findMarked(db, query);
  if (marked.length === 0) return list(query);
  return query.status === "active" ? listActive(query, list) : listEnded(db, watchSelect, marked, query, list);
}

/** Finds the calls with a mark that ends watches, on which the account has an active watch. */
async function findMarked(db: SqlQueries, { accountId }: Query): Promise<readonly Row[]> {
  const found: Row[] = [];
  for (const call of await db.all("select id, call_sid, mark from calls where mark is not null")) {
    const mark = markOf(call);
    if (mark === null || endingOf(mark) === null) continue;
    const watch = await db.get(
      "select 1 from watches where call_id = ?1 and account_id = ?2 and status = 'active' limit 1",
      integer(call, "id"),
      decodeId(accountId),
    );
    if (watch !== undefined) found.push(call);
  }
  return found;
}

/** Lists active watches, without those that a mark ends. */
async function listActive(query: Query, list: ListWatches): Promise<Page<WatchView>> {
  const active: WatchView[] = [];
  for (let { cursor } = query; ;) {
    const page = await list({ ...query, cursor });
    active.push(...page.data.filter(({ watch }) => watch.status === "active"));
    if (active.length > query.limit || page.nextCursor === null) return cut(active, query.limit);
    cursor = page.nextCursor;
  }
}

/** Lists ended watches, with those that a mark ends. */
async function listEnded(
  db: SqlQueries,
  watchSelect: string,
  marked: readonly Row[],
  query: Query,
  list: ListWatches,
): Promise<Page<WatchView>> {
  const wide = { ...query, limit: query.limit + 1 };
  const views = [...(await list(wide)).data];
  for (const call of marked) {
    const mark = markOf(call);
    const ending = mark === null ? null : endingOf(mark);
    if (ending === null || endedStatus(ending) !== query.status) continue;
    if (query.callSid !== null && query.callSid !== call["call_sid"]) continue;
    const { condition, values } = leftActive(mark);
    const conditions = [
      ["w.call_id = ?", integer(call, "id")],
      ["w.account_id = ?", decodeId(query.accountId)],
      ["w.status = ?", "active"],
      [`not ${condition}`, ...values],
    ] as const;
    views.push(...(await listByIds(db, watchSelect, "w.id", conditions, wide, watchViewOf)).data);
  }
  return cut(
    views.toSorted((a, b) => decodeId(b.watch.id) - decodeId(a.watch.id)),
    query.limit,
  );
}

function cut(views: readonly WatchView[], limit: number): Page<WatchView> {
  const data = views.slice(0, limit);
  const last = data.at(-1);
  return { data, nextCursor: views.length > limit && last !== undefined ? encodeCursor(decodeId(last.watch.id)) : null };
}
