import { migrate } from "../adapters/postgres/migrate.ts";
import { TableWriter } from "../adapters/postgres/table-writer.ts";
import { openSqliteStore } from "../adapters/sqlite/store.ts";
import { TableReader } from "../adapters/sqlite/table-reader.ts";
import { StartRefused } from "../domain/errors.ts";
import type { DeliveryPolicy } from "../domain/retry-policy.ts";

export type Move = { readonly sqlitePath: string; readonly postgresUrl: string; readonly policy: DeliveryPolicy };

export type MovedTable = { readonly table: string; readonly rows: number };

const pageSize = 1000;
/** What belongs to a server and its files rather than to what it serves. */
const notMoved = new Set(["schema_migrations", "instances", "server_keys"]);
/** SQLite needs no order of the feed besides the positions. */
const feedOrderOfMoved = 0;

/**
 * Moves an embedded database into an empty one of Postgres: `migrate --from sqlite:… --to postgres://…`. All of it or
 * nothing is there afterwards, counted table by table. What is sealed stays sealed: the Postgres service needs the same
 * encryption keys. Rejects with `StartRefused` while a server runs on it,
 * and for a database that is not empty.
 */
export async function moveDatabase({ sqlitePath, postgresUrl, policy }: Move): Promise<readonly MovedTable[]> {
  // As at a start: whoever held a lease is gone, and what it had is due.
  const store = await openSqliteStore({ path: sqlitePath, policy });
  await store.close();
  using reader = new TableReader(sqlitePath);
  await migrate(postgresUrl);
  await using writer = await TableWriter.open(postgresUrl);
  const source = reader.tables();
  const shared = [...source.keys()].filter((table) => writer.columnsOf(table) !== null && !notMoved.has(table));
  for (const table of shared)
    if ((await writer.count(table)) > 0) throw new StartRefused(`the database moved to must be empty: its table ${table} is not`);

  const steps = writer.order(shared);
  for (const { table, deferredColumns } of steps) {
    const columns = columnsToMove(source.get(table), writer.columnsOf(table)).filter((column) => !deferredColumns.includes(column));
    const added = writer.columnsOf(table)?.includes("feed_order") === true ? { feed_order: feedOrderOfMoved } : {};
    for (const page of reader.pages(table, columns, pageSize))
      await writer.insert(
        table,
        [...columns, ...Object.keys(added)],
        page.map((row) => ({ ...row, ...added })),
      );
  }
  for (const { table, deferredColumns } of steps)
    if (deferredColumns.length > 0)
      for (const page of reader.pages(table, ["id", ...deferredColumns], pageSize)) await writer.update(table, deferredColumns, page);
  await writer.finish();

  const moved: MovedTable[] = [];
  for (const { table } of steps) {
    const [rows, written] = [reader.count(table), await writer.count(table)];
    if (rows !== written) throw new Error(`${written} of ${rows} rows of ${table} arrived: nothing was moved`);
    moved.push({ table, rows });
  }
  await writer.commit();
  return moved;
}

/** A lease is the process's that took it: nobody has one in the new database. */
function columnsToMove(source: readonly string[] = [], target: readonly string[] | null = []): readonly string[] {
  return source.filter((column) => column !== "lease_token" && target?.includes(column) === true);
}
