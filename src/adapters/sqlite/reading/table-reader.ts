import type { SQLOutputValue } from "node:sqlite";
import { systemClock } from "../../clock.ts";
import { Database } from "../connection/database.ts";
import { openConnection } from "../connection/open-connection.ts";
import type { OpenConnection } from "../connection/open-connection.ts";
import { clearLeases } from "../deliveries/claims.ts";

/** Row as node:sqlite returns it. Integers beyond the range of a number are bigints. */
export type TableRow = Readonly<Record<string, SQLOutputValue>>;

/**
 * Reads every table of an embedded database, row by row. Holds the server lock, so that no server changes the rows. Opening
 * does what the start of a server does: it migrates the schema and clears the leases of the last server. Throws
 * `StartupError` for a database that a server could not open either.
 */
export class TableReader implements Disposable {
  readonly #open: OpenConnection;

  constructor(path: string) {
    this.#open = openConnection(path);
    const db = new Database(this.#open.connection, null);
    db.transaction(() => clearLeases(db, systemClock.nowMs()));
  }

  /** Returns the column names by table. */
  tables(): ReadonlyMap<string, readonly string[]> {
    const { connection } = this.#open;
    const names = connection
      .prepare("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' order by name")
      .all();
    return new Map(
      names.map(({ name }) => {
        const columns = connection.prepare("select name from pragma_table_info(?)").all(name as string);
        return [name as string, columns.map((column) => column["name"] as string)];
      }),
    );
  }

  count(table: string): number {
    return this.#open.connection.prepare(`select count(*) as n from "${table}"`).get()?.["n"] as number;
  }

  /** Yields the rows in pages, so that a table need not fit into memory. */
  *pages(table: string, columns: readonly string[], pageSize: number): Generator<readonly TableRow[]> {
    const statement = this.#open.connection.prepare(`select ${columns.map((column) => `"${column}"`).join(", ")} from "${table}"`);
    let page: TableRow[] = [];
    for (const row of statement.iterate() as IterableIterator<TableRow>) {
      page.push(row);
      if (page.length < pageSize) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  [Symbol.dispose](): void {
    this.#open.connection.close();
    this.#open.lock?.close();
  }
}
