import { existsSync } from "node:fs";
import { migrate } from "../../adapters/postgres/migrate.ts";
import { TableWriter } from "../../adapters/postgres/table-writer.ts";
import { TableReader } from "../../adapters/sqlite/reading/table-reader.ts";
import { StartupError } from "../../domain/errors.ts";

export type Move = {
  readonly sqlitePath: string;
  readonly postgresUrl: string;
  /** Called after each page of rows. `done` and `total` are rows of all tables. */
  readonly onPage?: (progress: { readonly table: string; readonly done: number; readonly total: number }) => void;
};

export type MovedTable = { readonly table: string; readonly rows: number };

const pageSize = 1000;
/** Tables that are not moved, because they belong to a server and its files. */
const notMoved = new Set(["schema_migrations", "instances", "server_keys", "command_line_keys"]);
/** Value of a column that SQLite lacks, because in SQLite the positions alone order the feed. */
const feedOrderOfMoved = 0;

/**
 * Moves an embedded database into an empty Postgres database: `migrate --from sqlite:… --to postgres://…`. Either all rows
 * arrive, counted table by table, or none; the embedded database is not changed. Sealed values stay sealed, so the Postgres
 * service needs the same encryption keys. Positions of events are kept, so cursors of the feed stay valid. Rejects with
 * `StartupError` while a server runs on the embedded database, and if the target is not empty.
 */
export async function moveDatabase({ sqlitePath, postgresUrl, onPage }: Move): Promise<readonly MovedTable[]> {
  if (!existsSync(sqlitePath)) throw new Error(`database ${sqlitePath} does not exist`);
  using reader = new TableReader(sqlitePath);
  const source = reader.tables();
  // Checked before the schema is migrated, because an older service may run on a target that was named by mistake.
  {
    await using before = await TableWriter.open(postgresUrl);
    await refuseUnlessEmpty(before, source.keys());
  }
  await migrate(postgresUrl);
  await using writer = await TableWriter.open(postgresUrl);
  const shared = await refuseUnlessEmpty(writer, source.keys());

  const steps = writer.order(shared);
  // The reader holds the lock of the server, so these are the counts at the end too.
  const counts = new Map(steps.map(({ table }) => [table, reader.count(table)]));
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  let done = 0;
  for (const { table, deferredColumns } of steps) {
    const columns = columnsToMove(source.get(table), writer.columnsOf(table)).filter((column) => !deferredColumns.includes(column));
    const added = writer.columnsOf(table)?.includes("feed_order") === true ? { feed_order: feedOrderOfMoved } : {};
    for (const page of reader.pages(table, columns, pageSize)) {
      await writer.insert(
        table,
        [...columns, ...Object.keys(added)],
        page.map((row) => ({ ...row, ...added })),
      );
      done += page.length;
      onPage?.({ table, done, total });
    }
  }
  for (const { table, deferredColumns } of steps)
    if (deferredColumns.length > 0)
      for (const page of reader.pages(table, ["id", ...deferredColumns], pageSize)) await writer.update(table, deferredColumns, page);
  await writer.finish();

  const moved: MovedTable[] = [];
  for (const { table } of steps) {
    const [rows, written] = [counts.get(table) ?? 0, await writer.count(table)];
    if (rows !== written) throw new Error(`${written} of ${rows} rows of ${table} arrived, so nothing was moved`);
    moved.push({ table, rows });
  }
  await writer.commit();
  return moved;
}

/** Rejects unless the target is empty. Resolves with its tables that are to be filled. */
async function refuseUnlessEmpty(writer: TableWriter, tables: Iterable<string>): Promise<readonly string[]> {
  const shared = [...tables].filter((table) => writer.columnsOf(table) !== null && !notMoved.has(table));
  for (const table of shared)
    if ((await writer.count(table)) > 0) throw new StartupError(`the target database must be empty, but its table ${table} is not`);
  return shared;
}

/** Leases belong to a process, so they are cleared in the new database. */
function columnsToMove(source: readonly string[] = [], target: readonly string[] | null = []): readonly string[] {
  return source.filter((column) => column !== "lease_token" && target?.includes(column) === true);
}
