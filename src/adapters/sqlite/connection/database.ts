import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import type { DeliveryPolicy } from "../../../domain/deliveries/retry-policy.ts";
import { Counters } from "./counters.ts";
import type { SqlTransaction } from "../../sql/queries.ts";

/** Row as node:sqlite returns it. */
export type Row = Record<string, SQLOutputValue>;
export type Value = SQLInputValue | boolean;

/** Connection of one thread: prepared statements by their text, the delivery policy and the lease tokens. */
export class Database implements SqlTransaction {
  readonly rowLock = "";
  readonly connection: DatabaseSync;
  readonly counters = new Counters();
  readonly #policy: DeliveryPolicy | null;
  readonly #statements = new Map<string, StatementSync>();
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

  all(sql: string, ...values: readonly Value[]): Row[] {
    return this.#prepare(sql).all(...values.map(toSql)) as Row[];
  }

  get(sql: string, ...values: readonly Value[]): Row | undefined {
    return this.#prepare(sql).get(...values.map(toSql)) as Row | undefined;
  }

  iterate(sql: string, ...values: readonly Value[]): IterableIterator<Row> {
    return this.#prepare(sql).iterate(...values.map(toSql)) as IterableIterator<Row>;
  }

  /** Returns the number of changed rows. */
  run(sql: string, ...values: readonly Value[]): number {
    return Number(this.#prepare(sql).run(...values.map(toSql)).changes);
  }

  /** Returns the row id of the inserted row. */
  insert(sql: string, ...values: readonly Value[]): number {
    return Number(this.#prepare(sql).run(...values.map(toSql)).lastInsertRowid);
  }

  /** Runs statements in one transaction, which commits what they counted as well. */
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

function toSql(value: Value): SQLInputValue {
  return typeof value === "boolean" ? Number(value) : value;
}
