import type { EventView, Page, ReadStore } from "../../../ports/stores/read-store.ts";
import type { Queries } from "../connection/queries.ts";
import { integer } from "../../sql/rows.ts";
import { eventSelect, readEventViews } from "./selects.ts";
import { decodeNumberCursor, pageOf } from "../../sql/cursor.ts";

export async function listWatchEvents(db: Queries, query: Parameters<ReadStore["listWatchEvents"]>[0]): Promise<Page<EventView> | null> {
  const afterSequence = query.cursor === null ? 0 : decodeNumberCursor(query.cursor);
  const known = await db.get("select 1 from watches where id = $1 and account_id = $2", query.watchId, query.accountId);
  if (known === undefined) return null;
  const rows = await db.all(
    `${eventSelect} where e.watch_id = $1 and e.sequence > $2 order by e.sequence limit $3`,
    query.watchId,
    afterSequence,
    query.limit + 1,
  );
  const page = pageOf(
    rows,
    query,
    (row) => integer(row, "sequence"),
    (row) => row,
  );
  return { data: await readEventViews(db, page.data), nextCursor: page.nextCursor };
}
