import type { SQLOutputValue } from "node:sqlite";
import { connectClient } from "./connection/session.ts";
import type pg from "pg";

/** A column of a table, from the catalogue of the server. */
type Column = { readonly name: string; readonly type: string; readonly isNullable: boolean; readonly isIdentity: boolean };
type ForeignKey = { readonly table: string; readonly column: string; readonly target: string };

/** A table to fill, and its columns that can be set only after other tables are filled. */
export type FillStep = { readonly table: string; readonly deferredColumns: readonly string[] };

/** The primary key of every table that has deferred columns. */
const keyColumn = "id";

/**
 * Fills a migrated, empty database with the rows of another database, in one transaction. Columns are matched by name;
 * columns that the other database does not have keep their defaults.
 */
export class TableWriter implements AsyncDisposable {
  readonly #client: pg.Client;
  readonly #columns: ReadonlyMap<string, readonly Column[]>;
  readonly #foreignKeys: readonly ForeignKey[];

  static async open(connectionString: string): Promise<TableWriter> {
    const client = await connectClient(connectionString, "ringback move");
    try {
      await client.query("begin");
      return new TableWriter(client, await readColumns(client), await readForeignKeys(client));
    } catch (error) {
      await client.end();
      throw error;
    }
  }

  private constructor(client: pg.Client, columns: ReadonlyMap<string, readonly Column[]>, foreignKeys: readonly ForeignKey[]) {
    this.#client = client;
    this.#columns = columns;
    this.#foreignKeys = foreignKeys;
  }

  columnsOf(table: string): readonly string[] | null {
    return this.#columns.get(table)?.map(({ name }) => name) ?? null;
  }

  async count(table: string): Promise<number> {
    const { rows } = await this.#client.query<{ n: string }>(`select count(*) as n from "${table}"`);
    return Number(rows[0]?.n);
  }

  /** Orders tables so that each refers only to earlier ones. Where this is impossible, nullable columns are deferred. */
  order(tables: readonly string[]): readonly FillStep[] {
    const steps: FillStep[] = [];
    const left = new Set(tables);
    while (left.size > 0) {
      const candidates = [...left].map((table) => ({ table, open: this.#openKeys(table, left) }));
      const next = candidates.find(({ open }) => open.length === 0) ?? candidates.find(({ table, open }) => this.#allNullable(table, open));
      if (next === undefined) throw new Error(`the tables ${[...left].join(", ")} refer to each other`);
      steps.push({ table: next.table, deferredColumns: next.open.map(({ column }) => column) });
      left.delete(next.table);
    }
    return steps;
  }

  async insert(table: string, columns: readonly string[], rows: readonly Readonly<Record<string, SQLOutputValue>>[]): Promise<void> {
    const types = this.#typesOf(table);
    const names = columns.map((column) => `"${column}"`).join(", ");
    await this.#client.query(
      `insert into "${table}" (${names}) overriding system value select ${names} from json_populate_recordset(null::"${table}", $1::json)`,
      [JSON.stringify(rows.map((row) => jsonOf(row, columns, types)))],
    );
  }

  /** Sets deferred columns of inserted rows. */
  async update(table: string, columns: readonly string[], rows: readonly Readonly<Record<string, SQLOutputValue>>[]): Promise<void> {
    const types = this.#typesOf(table);
    const set = columns.map((column) => `"${column}" = given."${column}"`).join(", ");
    await this.#client.query(
      `update "${table}" set ${set} from json_populate_recordset(null::"${table}", $1::json) given where given.${keyColumn} = "${table}".${keyColumn}`,
      [JSON.stringify(rows.map((row) => jsonOf(row, [keyColumn, ...columns], types)))],
    );
  }

  /** Sets columns that the other database does not have, and the next values of identity columns. */
  async finish(): Promise<void> {
    await this.#client.query(
      "update calls c set watched = exists (select 1 from watches w where w.call_id = c.id and w.status = 'active')",
    );
    for (const [table, columns] of this.#columns)
      for (const { name, isIdentity } of columns)
        if (isIdentity)
          await this.#client.query(
            `select setval(pg_get_serial_sequence($1, $2), (select coalesce(max("${name}"), 0) + 1 from "${table}"), false)`,
            [table, name],
          );
  }

  async commit(): Promise<void> {
    await this.#client.query("commit");
    await this.#client.query("analyze");
  }

  /** Closes the connection; uncommitted rows are rolled back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end();
  }

  #openKeys(table: string, left: ReadonlySet<string>): readonly ForeignKey[] {
    return this.#foreignKeys.filter((key) => key.table === table && key.target !== table && left.has(key.target));
  }

  #allNullable(table: string, keys: readonly ForeignKey[]): boolean {
    const columns = this.#columns.get(table) ?? [];
    return keys.every((key) => columns.some(({ name, isNullable }) => name === key.column && isNullable));
  }

  #typesOf(table: string): ReadonlyMap<string, string> {
    return new Map(this.#columns.get(table)?.map(({ name, type }) => [name, type]));
  }
}

async function readColumns(client: pg.Client): Promise<ReadonlyMap<string, readonly Column[]>> {
  const { rows } = await client.query<{
    table_name: string;
    column_name: string;
    data_type: string;
    is_nullable: string;
    is_identity: string;
  }>(
    `select table_name, column_name, data_type, is_nullable, is_identity from information_schema.columns
     where table_schema = current_schema() and is_generated = 'NEVER' order by table_name, ordinal_position`,
  );
  const columns = rows.map((row) => ({
    table: row.table_name,
    column: { name: row.column_name, type: row.data_type, isNullable: row.is_nullable === "YES", isIdentity: row.is_identity === "YES" },
  }));
  return new Map([...Map.groupBy(columns, ({ table }) => table)].map(([table, group]) => [table, group.map(({ column }) => column)]));
}

async function readForeignKeys(client: pg.Client): Promise<readonly ForeignKey[]> {
  const { rows } = await client.query<ForeignKey>(
    `select c.conrelid::regclass::text as table, a.attname as column, c.confrelid::regclass::text as target
     from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any(c.conkey)
     where c.contype = 'f' and c.connamespace = current_schema()::regnamespace`,
  );
  return rows;
}

/** Maps a row to JSON values as Postgres reads them. Replaces NUL characters, which Postgres does not store. */
function jsonOf(
  row: Readonly<Record<string, SQLOutputValue>>,
  columns: readonly string[],
  types: ReadonlyMap<string, string>,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    columns.map((column) => {
      const value = row[column] ?? null;
      if (value instanceof Uint8Array) return [column, `\\x${Buffer.from(value).toString("hex")}`];
      if (typeof value === "string") return [column, value.replaceAll("\0", "\uFFFD")];
      if (value !== null && types.get(column) === "boolean") return [column, Number(value) !== 0];
      return [column, typeof value === "bigint" ? String(value) : value];
    }),
  );
}
