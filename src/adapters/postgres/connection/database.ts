import { setTimeout as sleep } from "node:timers/promises";
import { InstanceFencedError, StoreOverloadedError, StoreUnavailableError } from "../../../domain/errors.ts";
import type { DeliveryPolicy } from "../../../domain/deliveries/retry-policy.ts";
import { messageOf } from "../../error-message.ts";
import { afterLastTry, isConnectionError, isTransient, toStoreError } from "./failures.ts";
import { breakOf, createPool, statementOf, timeoutBy } from "./session.ts";
import type pg from "pg";

/** A row as `pg` gives it; bigint columns come as numbers (none of ours leaves the safe integers). */
export type Row = Record<string, unknown>;
export type Value = string | number | boolean | Uint8Array | null | readonly (string | number | boolean | Uint8Array | null)[];

/** Who this process is to the other instances; set by whoever keeps the instance's lease. */
export type InstanceIdentity = {
  /** The fencing token; null before it joined and after it left: then nothing that needs ownership is written. */
  token: number | null;
  /** Another instance is alive, as of the last heartbeat: then limits are counted over all of them. */
  hasPeers: boolean;
  /** Of the encryption keys it was started with: they go with its row. */
  keyIds?: readonly string[];
  /** Called when a write was refused because the instance was evicted; resolves once there is a new token. */
  rejoin?: () => Promise<void>;
};

/** What a committed transaction changed that other instances may wait for. */
export type ChangeKind = "events" | "deliveries" | "calls" | "watches" | "accounts" | "sources";

export type InFlightLimits = { readonly endpointMaxInFlight: number; readonly hostMaxInFlight: number };

export type DatabaseOptions = {
  /** `postgres://…`, everything `pg` understands. */
  readonly connectionString: string;
  /** null: for administration, which sends nothing. */
  readonly policy: DeliveryPolicy | null;
  readonly owner: InstanceIdentity;
  /** Places in flight over all instances, where an endpoint has no limit of its own. */
  readonly limits?: InFlightLimits;
  /** Connections at most. */
  readonly poolSize?: number;
  /** How long a reader of the feed waits for older transactions to end, so that it sees what was committed before it asked. */
  readonly feedLingerMs?: number;
  /** After the commit of a transaction that changed something of these kinds. */
  readonly onChanged?: (kinds: ReadonlySet<ChangeKind>) => void;
  /** How long the commit of each transaction took. */
  readonly onCommitted?: (durationMs: number) => void;
};

/** Statements, on one connection or on any. Named by their text, so that each connection parses each once. */
export interface Queries {
  all(sql: string, ...values: readonly Value[]): Promise<Row[]>;
  get(sql: string, ...values: readonly Value[]): Promise<Row | undefined>;
  /** The number of rows changed. */
  run(sql: string, ...values: readonly Value[]): Promise<number>;
}

/** Everything the store is asked is answered, one way or the other, before a request's 10 s are over. */
const answerWithinMs = 9000;
const maxTries = 5;
const retryMinMs = 5;
/** Requests that wait for a connection, at most. */
const waitingLimit = 10_000;

/** The pool: bounded, every wait with a deadline, every connection durable. */
export class Database implements Queries {
  readonly #policy: DeliveryPolicy | null;
  readonly owner: InstanceIdentity;
  readonly limits: InFlightLimits;
  readonly feedLingerMs: number;
  readonly #pool: pg.Pool;
  readonly #onChanged: (kinds: ReadonlySet<ChangeKind>) => void;
  readonly #onCommitted: (durationMs: number) => void;
  #closed: Promise<void> | null = null;
  #rejoining: Promise<void> | null = null;

  constructor(options: DatabaseOptions) {
    this.#policy = options.policy;
    this.owner = options.owner;
    this.limits = options.limits ?? { endpointMaxInFlight: 32, hostMaxInFlight: 64 };
    this.feedLingerMs = options.feedLingerMs ?? 1000;
    this.#onChanged = options.onChanged ?? (() => undefined);
    this.#onCommitted = options.onCommitted ?? (() => undefined);
    this.#pool = createPool(options.connectionString, options.poolSize ?? 10);
  }

  get policy(): DeliveryPolicy {
    if (this.#policy === null) throw new Error("administration delivers nothing");
    return this.#policy;
  }

  async all(sql: string, ...values: readonly Value[]): Promise<Row[]> {
    return (await this.#single(sql, values)).rows;
  }

  async get(sql: string, ...values: readonly Value[]): Promise<Row | undefined> {
    return (await this.#single(sql, values)).rows[0];
  }

  async run(sql: string, ...values: readonly Value[]): Promise<number> {
    return (await this.#single(sql, values)).rowCount ?? 0;
  }

  /**
   * One transaction (read committed). What fails for a passing reason is run again, so `work` must change nothing but
   * the database. Rejects with `StoreUnavailableError` when the server cannot be reached or did not answer in time; whether a
   * commit whose answer was lost took place is then unknown, as with every database.
   */
  async transaction<T>(work: (tx: Transaction) => Promise<T>, deadlineMs = performance.now() + answerWithinMs): Promise<T> {
    return this.#untilItSticks(() => this.#transactOnce(work, deadlineMs), deadlineMs);
  }

  /** A transaction of this instance: rejects with `InstanceFencedError` and writes nothing when it was evicted. */
  async ownerTransaction<T>(work: (tx: Transaction, token: number) => Promise<T>, deadlineMs?: number): Promise<T> {
    return this.transaction(async (tx) => {
      const { token } = this.owner;
      if (token === null) throw new InstanceFencedError();
      // Sent together: what was written without a lease is rolled back.
      const [, value] = await Promise.all([tx.fence(token), work(tx, token)]);
      return value;
    }, deadlineMs).catch((error: unknown) => {
      if (error instanceof InstanceFencedError) this.rejoin().catch(() => undefined);
      throw error;
    });
  }

  /** Gets this instance a new token; whoever asks meanwhile waits for the same. */
  rejoin(): Promise<void> {
    if (this.owner.rejoin === undefined) return Promise.reject(new InstanceFencedError());
    this.#rejoining ??= this.owner.rejoin().finally(() => {
      this.#rejoining = null;
    });
    return this.#rejoining;
  }

  /** Lets what runs finish, then closes every connection. May be called twice. */
  close(): Promise<void> {
    return (this.#closed ??= this.#pool.end());
  }

  #single(sql: string, values: readonly Value[]): Promise<pg.QueryResult<Row>> {
    const deadlineMs = performance.now() + answerWithinMs;
    return this.#untilItSticks(async () => {
      const client = await this.#connect();
      try {
        const result = await client.query<Row>({ ...statementOf(sql, values), ...timeoutBy(deadlineMs) });
        client.release();
        return result;
      } catch (error) {
        client.release(isConnectionError(error));
        throw toStoreError(error);
      }
    }, deadlineMs);
  }

  async #untilItSticks<T>(run: () => Promise<T>, deadlineMs: number): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await run();
      } catch (error) {
        if (!isTransient(error)) throw error;
        const delayMs = retryMinMs * 2 ** tries * (0.5 + Math.random() / 2);
        if (tries >= maxTries || performance.now() + delayMs >= deadlineMs) throw afterLastTry(error);
        await sleep(delayMs);
      }
    }
  }

  async #transactOnce<T>(work: (tx: Transaction) => Promise<T>, deadlineMs: number): Promise<T> {
    const client = await this.#connect();
    const tx = new Transaction(client, this, deadlineMs);
    try {
      const [, value] = await Promise.all([tx.begin(), work(tx)]);
      await tx.commit();
      client.release();
      this.#onCommitted(tx.commitMs);
      if (tx.changed.size > 0) this.#onChanged(tx.changed);
      return value;
    } catch (error) {
      const broke = breakOf(client);
      const cause = broke !== null && isTransient(broke) ? broke : (tx.failure ?? error);
      const broken = isConnectionError(cause) || !(await tx.rollback());
      client.release(broken);
      throw toStoreError(cause);
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    if (this.#closed !== null) throw new StoreUnavailableError("the store is closed");
    if (this.#pool.waitingCount >= waitingLimit) throw new StoreOverloadedError();
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw new StoreUnavailableError(`the database cannot be reached: ${messageOf(error)}`, { cause: error });
    }
  }
}

/** One transaction on one connection. Statements that do not need each other's answers may be sent together. */
export class Transaction implements Queries {
  /** Kinds of changes, announced once committed. */
  readonly changed = new Set<ChangeKind>();
  /** How long the commit took. */
  commitMs = 0;
  /** Why the first statement that failed did; of those sent behind it, the server only says that they came too late. */
  failure: unknown;
  #over = false;
  readonly #client: pg.PoolClient;
  readonly #database: Pick<Database, "policy" | "limits" | "owner">;
  readonly #deadlineMs: number;

  constructor(client: pg.PoolClient, database: Pick<Database, "policy" | "limits" | "owner">, deadlineMs: number) {
    this.#client = client;
    this.#database = database;
    this.#deadlineMs = deadlineMs;
  }

  get policy(): DeliveryPolicy {
    return this.#database.policy;
  }

  get limits(): InFlightLimits {
    return this.#database.limits;
  }

  get hasPeers(): boolean {
    return this.#database.owner.hasPeers;
  }

  /** This instance's, without a look whether it is still there: for what is written at its own risk. */
  get token(): number | null {
    return this.#database.owner.token;
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
   * The row of this instance stays until the transaction ends: whoever evicts it waits for that. Throws `InstanceFencedError`
   * when the row is gone, for then somebody else may own what this instance owned.
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
    // A transaction in which a statement failed is rolled back by it.
    if ((await committed).command !== "COMMIT") throw this.failure ?? new Error("the transaction was not committed");
    this.commitMs = performance.now() - startedMs;
  }

  /** False: the connection is of no use any more. */
  async rollback(): Promise<boolean> {
    // What goes on beside the part that failed must not reach whoever has the connection next.
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
