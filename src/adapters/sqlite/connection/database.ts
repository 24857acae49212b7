import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import type { DeliveryPolicy, MarkSizes } from "../../../domain/deliveries/retry-policy.ts";
import { defaultMarkSizes } from "../../sql/marks/mark-rows.ts";
import { Counters } from "./counters.ts";
import { RowCache } from "./row-cache.ts";
import type { SqlTransaction } from "../../sql/queries.ts";

/** Row as node:sqlite returns it. */
export type Row = Record<string, SQLOutputValue>;
export type Value = SQLInputValue | boolean;

/** Row as a list of its columns, in the order of the statement. Saves the properties of an object. */
export type ArrayRow = readonly SQLOutputValue[];

/** Connection of one thread: prepared statements by their text, the delivery policy and the lease tokens. */
export class Database implements SqlTransaction {
  readonly rowLock = "";
  readonly connection: DatabaseSync;
  readonly counters = new Counters();
  readonly cache = new RowCache();
  readonly #policy: DeliveryPolicy | null;
  readonly #statements = new Map<string, StatementSync>();
  readonly #arrayStatements = new Map<string, StatementSync>();
  #lastLeaseToken = 0;

  /** `policy` is `null` for administration and for the reader, which send nothing. */
  constructor(connection: DatabaseSync, policy: DeliveryPolicy | null) {
    this.connection = connection;
    this.#policy = policy;
  }

  get policy(): DeliveryPolicy {
    if (this.#policy === null) throw new Error("a connection for administration or reading has no delivery policy");
    return this.#policy;
  }

  /** Sizes of work on many rows. */
  get markSizes(): MarkSizes {
    return this.#policy?.marks ?? defaultMarkSizes;
  }

  all(sql: string, ...values: readonly Value[]): Row[] {
    return this.#prepare(sql).all(...toSql(values)) as Row[];
  }

  /** Returns the rows as lists of their columns. */
  allArrays(sql: string, ...values: readonly Value[]): readonly ArrayRow[] {
    let statement = this.#arrayStatements.get(sql);
    if (statement === undefined) {
      statement = this.connection.prepare(sql);
      statement.setReturnArrays(true);
      this.#arrayStatements.set(sql, statement);
    }
    return statement.all(...toSql(values)) as unknown as ArrayRow[];
  }

  get(sql: string, ...values: readonly Value[]): Row | undefined {
    return this.#prepare(sql).get(...toSql(values)) as Row | undefined;
  }

  iterate(sql: string, ...values: readonly Value[]): IterableIterator<Row> {
    return this.#prepare(sql).iterate(...toSql(values)) as IterableIterator<Row>;
  }

  /** Returns the number of changed rows. */
  run(sql: string, ...values: readonly Value[]): number {
    return Number(this.#prepare(sql).run(...toSql(values)).changes);
  }

  /** Returns the row id of the inserted row. */
  insert(sql: string, ...values: readonly Value[]): number {
    return Number(this.#prepare(sql).run(...toSql(values)).lastInsertRowid);
  }

  /** Runs statements in one transaction. Its commit includes what the statements counted. */
  transaction(run: () => void): void {
    this.run("begin immediate");
    try {
      run();
      this.counters.write(this);
      this.run("commit");
    } catch (error) {
      this.counters.forget();
      this.run("rollback");
      throw error;
    }
  }

  /** Returns a token that is unique in this process. The start of a server clears the leases of the process before it. */
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

function toSql(values: readonly Value[]): readonly SQLInputValue[] {
  // Few lists have a boolean, and a copy of the others would cost a tenth of their statements.
  if (!values.some((value) => typeof value === "boolean")) return values as readonly SQLInputValue[];
  return values.map((value) => (typeof value === "boolean" ? Number(value) : value));
}
