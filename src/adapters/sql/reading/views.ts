import { newestKept } from "../../../domain/deliveries/attempt.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { EndpointView, HookView, Page, ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import { readMarks } from "../marks/mark-rows.ts";
import { purgedOf, seeDeliveries, seeEndpoint, seeWatches } from "../marks/seen-rows.ts";
import type { SqlQueries } from "../queries.ts";
import { attemptInDelivery, attemptOf } from "../rows.ts";
import type { Row } from "../rows.ts";
import { deliveryViewOf, endpointViewOf, hookViewOf, watchViewOf } from "../view-rows.ts";
import { listByIds } from "./page.ts";

/** The selects of a database, with the columns that `view-rows.ts` reads. */
type Selects = {
  readonly deliverySelect: string;
  readonly endpointSelect: string;
  readonly hookSelect: string;
  readonly watchSelect: string;
};

/** Returns the reads of deliveries, endpoints, hooks and watches. Only their selects differ between the databases. */
export function viewReads({ deliverySelect, endpointSelect, hookSelect, watchSelect }: Selects) {
  return {
    async getDelivery(db: SqlQueries, accountId: string, deliveryId: string): ReturnType<ReadStore["getDelivery"]> {
      const marks = await readMarks(db, decodeId(accountId));
      const found = await getRow(db, deliverySelect, "d", accountId, deliveryId);
      const [row] = found === undefined ? [] : await seeDeliveries(db, marks, [found]);
      if (row === undefined) return null;
      const newest = await db.all(
        "select * from attempts where delivery_id = ?1 order by number desc limit ?2",
        decodeId(deliveryId),
        newestKept,
      );
      const rows = newest.toReversed();
      const first = attemptInDelivery(row);
      return { view: deliveryViewOf(row), attempts: [...(first === null ? [] : [first]), ...rows.map(attemptOf)] };
    },
    async getEndpoint(db: SqlQueries, accountId: string, endpointId: string): Promise<EndpointView | null> {
      const marks = await readMarks(db, decodeId(accountId));
      return getView(db, endpointSelect, "p", (row) => endpointViewOf(seeEndpoint(row, marks)), accountId, endpointId);
    },
    getHook(db: SqlQueries, accountId: string, hookId: string): Promise<HookView | null> {
      return getView(db, hookSelect, "k", hookViewOf, accountId, hookId);
    },
    async getWatch(db: SqlQueries, accountId: string, watchId: string): Promise<WatchView | null> {
      const marks = await readMarks(db, decodeId(accountId));
      const row = await getRow(db, watchSelect, "w", accountId, watchId);
      if (row === undefined || purgedOf(marks).has(decodeId(watchId))) return null;
      const [seen] = await seeWatches(db, marks, [row]);
      return seen === undefined ? null : watchViewOf(seen);
    },
    async listEndpoints(db: SqlQueries, query: Parameters<ReadStore["listEndpoints"]>[0]): Promise<Page<EndpointView>> {
      const marks = await readMarks(db, decodeId(query.accountId));
      const toView = (row: Row) => endpointViewOf(seeEndpoint(row, marks));
      return listByIds(db, endpointSelect, "p.id", [["p.account_id = ?", decodeId(query.accountId)]], query, toView);
    },
    listHooks(db: SqlQueries, query: Parameters<ReadStore["listHooks"]>[0]): Promise<Page<HookView>> {
      return listByIds(db, hookSelect, "k.id", [["k.account_id = ?", decodeId(query.accountId)]], query, hookViewOf);
    },
  };
}

async function getView<View>(
  db: SqlQueries,
  select: string,
  table: string,
  toView: (row: Row) => View,
  accountId: string,
  id: string,
): Promise<View | null> {
  const row = await getRow(db, select, table, accountId, id);
  return row === undefined ? null : toView(row);
}

/** Reads the row of an account that has this id in `table`, the alias of a table in `select`. */
function getRow(db: SqlQueries, select: string, table: string, accountId: string, id: string): Row | undefined | Promise<Row | undefined> {
  return db.get(`${select} where ${table}.id = ?1 and ${table}.account_id = ?2`, decodeId(id), decodeId(accountId));
}
