import { existsSync } from "node:fs";
import { migrate } from "../../adapters/postgres/migrate.ts";
import { TableWriter } from "../../adapters/postgres/table-writer.ts";
import { TableReader } from "../../adapters/sqlite/reading/table-reader.ts";
import { StartupError } from "../../domain/errors.ts";

export type Move = { readonly sqlitePath: string; readonly postgresUrl: string };

export type MovedTable = { readonly table: string; readonly rows: number };

const pageSize = 1000;
/** What belongs to a server and its files rather than to what it serves. */
const notMoved = new Set(["schema_migrations", "instances", "server_keys"]);
/** SQLite needs no order of the feed besides the positions. */
const feedOrderOfMoved = 0;

/**
 * Moves an embedded database into an empty one of Postgres: `migrate --from sqlite:… --to postgres://…`. All of it or
 * nothing is there afterwards, counted table by table; the embedded one stays as it is. What is sealed stays sealed: the
 * Postgres service needs the same encryption keys. Positions of events are kept, so cursors of the feed go on. Rejects
 * with `StartupError` while a server runs on the embedded database, and for a target that is not empty.
 */
export async function moveDatabase({ sqlitePath, postgresUrl }: Move): Promise<readonly MovedTable[]> {
  if (!existsSync(sqlitePath)) throw new Error(`there is no database ${sqlitePath}`);
  using reader = new TableReader(sqlitePath);
  const source = reader.tables();
  // Before its schema is touched: a service of an older version may run on what was named by mistake.
  {
    await using before = await TableWriter.open(postgresUrl);
    await refuseUnlessEmpty(before, source.keys());
  }
  await migrate(postgresUrl);
  await using writer = await TableWriter.open(postgresUrl);
  const shared = await refuseUnlessEmpty(writer, source.keys());

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

/** Resolves with those of the tables that are there and are to be filled. */
async function refuseUnlessEmpty(writer: TableWriter, tables: Iterable<string>): Promise<readonly string[]> {
  const shared = [...tables].filter((table) => writer.columnsOf(table) !== null && !notMoved.has(table));
  for (const table of shared)
    if ((await writer.count(table)) > 0) throw new StartupError(`the database moved to must be empty: its table ${table} is not`);
  return shared;
}

/** A lease is the process's that took it: nobody has one in the new database. */
function columnsToMove(source: readonly string[] = [], target: readonly string[] | null = []): readonly string[] {
  return source.filter((column) => column !== "lease_token" && target?.includes(column) === true);
}
