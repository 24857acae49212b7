import type { DeliveryPolicy, MarkSizes } from "../../../domain/deliveries/retry-policy.ts";
import { InstanceFencedError, StoreUnavailableError } from "../../../domain/errors.ts";
import type { ChangeKind, SqlTransaction } from "../../sql/queries.ts";
import type { Row } from "../../sql/rows.ts";
import type { InFlightLimits, InstanceIdentity, Queries, Value } from "./queries.ts";
import { statementOf, timeoutBy } from "./session.ts";
import type pg from "pg";

/** Settings of the database that operations read inside a transaction. */
export type TransactionSettings = {
  readonly policy: DeliveryPolicy;
  readonly markSizes: MarkSizes;
  readonly limits: InFlightLimits;
  readonly owner: InstanceIdentity;
};

/** One transaction on one connection. Statements that do not depend on each other's results may be sent together. */
export class Transaction implements Queries, SqlTransaction {
  /** Kinds of changes, published after the commit. */
  readonly changed = new Set<ChangeKind>();
  readonly rowLock = " for no key update";
  /** Duration of the commit. */
  commitMs = 0;
  /** Error of the first statement that failed. The server rejects all later statements with a less specific error. */
  failure: unknown;
  #over = false;
  readonly #client: pg.PoolClient;
  readonly #settings: TransactionSettings;
  readonly #deadlineMs: number;

  constructor(client: pg.PoolClient, settings: TransactionSettings, deadlineMs: number) {
    this.#client = client;
    this.#settings = settings;
    this.#deadlineMs = deadlineMs;
  }

  get policy(): DeliveryPolicy {
    return this.#settings.policy;
  }

  get markSizes(): MarkSizes {
    return this.#settings.markSizes;
  }

  get limits(): InFlightLimits {
    return this.#settings.limits;
  }

  get hasPeers(): boolean {
    return this.#settings.owner.hasPeers;
  }

  /** Token of this instance, without a check that the instance still exists; only for writes that stay correct after an eviction. */
  get token(): number | null {
    return this.#settings.owner.token;
  }

  async all(sql: string, ...values: readonly Value[]): Promise<Row[]> {
    return (await this.#query(statementOf(sql, values))).rows;
  }

  async get(sql: string, ...values: readonly Value[]): Promise<Row | undefined> {
    return (await this.#query(statementOf(sql, values))).rows[0];
  }

  async run(sql: string, ...values: readonly Value[]): Promise<number> {
    return (await this.#query(statementOf(sql, values))).rowCount ?? 0;
  }

  /**
   * Locks the row of this instance until the transaction ends, so that an eviction waits for the transaction. Throws
   * `InstanceFencedError` if the row is gone, because another instance may then own the calls and leases of this one.
   */
  async fence(token: number): Promise<void> {
    if ((await this.get("select 1 from instances where token = $1 for key share", token)) === undefined) throw new InstanceFencedError();
  }

  async begin(): Promise<void> {
    await this.#query({ text: "begin" });
  }

  async commit(): Promise<void> {
    const startedMs = performance.now();
    const committed = this.#query({ text: "commit" });
    this.#over = true;
    // `commit` rolls back a transaction in which a statement failed.
    if ((await committed).command !== "COMMIT") throw this.failure ?? new Error("the transaction was not committed");
    this.commitMs = performance.now() - startedMs;
  }

  /** Returns false if the connection cannot be used any more. */
  async rollback(): Promise<boolean> {
    // Other parts of the operation may still send statements; these must not reach the next user of the connection.
    this.#over = true;
    try {
      await this.#client.query({ text: "rollback", ...timeoutBy(this.#deadlineMs) });
      return true;
    } catch {
      return false;
    }
  }

  async #query(statement: pg.QueryConfig): Promise<pg.QueryResult<Row>> {
    if (this.#over) throw new StoreUnavailableError("the transaction is over");
    try {
      return await this.#client.query<Row>({ ...statement, ...timeoutBy(this.#deadlineMs) });
    } catch (error) {
      this.failure ??= error;
      throw error;
    }
  }
}
