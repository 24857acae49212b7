import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import type { DeliveryPolicy } from "../../../domain/deliveries/retry-policy.ts";

/** A row as node:sqlite gives it. */
export type Row = Record<string, SQLOutputValue>;
export type Value = SQLInputValue | boolean;

/** The connection of the worker: prepared statements by their text, and what operations need besides rows. */
export class Database {
  readonly connection: DatabaseSync;
  readonly #policy: DeliveryPolicy | null;
  readonly #statements = new Map<string, StatementSync>();
  #lastLeaseToken = 0;

  /** `policy` null: for administration, which sends nothing. */
  constructor(connection: DatabaseSync, policy: DeliveryPolicy | null) {
    this.connection = connection;
    this.#policy = policy;
  }

  get policy(): DeliveryPolicy {
    if (this.#policy === null) throw new Error("administration delivers nothing");
    return this.#policy;
  }

  all(sql: string, ...values: readonly Value[]): Row[] {
    return this.#prepare(sql).all(...values.map(toSql)) as Row[];
  }

  get(sql: string, ...values: readonly Value[]): Row | undefined {
    return this.#prepare(sql).get(...values.map(toSql)) as Row | undefined;
  }

  iterate(sql: string, ...values: readonly Value[]): IterableIterator<Row> {
    return this.#prepare(sql).iterate(...values.map(toSql)) as IterableIterator<Row>;
  }

  /** The number of rows changed. */
  run(sql: string, ...values: readonly Value[]): number {
    return Number(this.#prepare(sql).run(...values.map(toSql)).changes);
  }

  /** For an insert whose row number matters. */
  insert(sql: string, ...values: readonly Value[]): number {
    return Number(this.#prepare(sql).run(...values.map(toSql)).lastInsertRowid);
  }

  /** Never given twice while the process lives; leases of a process before it are cleared at the start. */
  nextLeaseToken(): number {
    this.#lastLeaseToken += 1;
    return this.#lastLeaseToken;
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.connection.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function toSql(value: Value): SQLInputValue {
  return typeof value === "boolean" ? Number(value) : value;
}
