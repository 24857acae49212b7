import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { InstanceFenced, RingbackError, StoreOverloaded, StoreUnavailable } from "../../domain/errors.ts";
import type { DeliveryPolicy } from "../../domain/retry-policy.ts";

/** A row as `pg` gives it; bigint columns come as numbers (none of ours leaves the safe integers). */
export type Row = Record<string, unknown>;
export type Value = string | number | boolean | Uint8Array | null | readonly (string | number | boolean | Uint8Array | null)[];

/** Who this process is to the other instances; set by whoever keeps the instance's lease. */
export type Owner = {
  /** The fencing token; null before it joined and after it left: then nothing that needs ownership is written. */
  token: number | null;
  /** Another instance is alive, as of the last heartbeat: then limits are counted over all of them. */
  hasPeers: boolean;
  /** Called when a write was refused because the instance was evicted; resolves once there is a new token. */
  rejoin?: () => Promise<void>;
};

/** What a committed transaction changed that other instances may wait for. */
export type ChangeKind = "events" | "deliveries" | "calls" | "watches" | "accounts";

export type InFlightLimits = { readonly endpointMaxInFlight: number; readonly hostMaxInFlight: number };

export type DatabaseOptions = {
  /** `postgres://…`, everything `pg` understands. */
  readonly connectionString: string;
  readonly policy: DeliveryPolicy;
  readonly owner: Owner;
  /** Places in flight over all instances, where an endpoint has no limit of its own. */
  readonly limits?: InFlightLimits;
  /** Connections at most. */
  readonly poolSize?: number;
  /** How long a reader of the feed waits for older transactions to end, so that it sees what was committed before it asked. */
  readonly feedPatienceMs?: number;
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

/** Thrown inside a transaction: what it read was overtaken by another one; it is rolled back and run again. */
export class TransactionOvertaken extends RingbackError {
  constructor() {
    super("transaction-overtaken", "another transaction was faster too often");
  }
}

/** Everything the store is asked is answered, one way or the other, before a request's 10 s are over. */
const answerWithinMs = 9000;
const connectTimeoutMs = 4000;
const statementTimeoutMs = 5000;
const lockTimeoutMs = 4000;
const idleInTransactionTimeoutMs = 10_000;
const maxTries = 5;
const retryMinMs = 5;
/** Requests that wait for a connection, at most. */
const waitingLimit = 10_000;

/** Deadlock and serialization failure. */
const conflicts = new Set(["40P01", "40001"]);
/** A unique value that somebody made, a row referred to that somebody deleted a moment ago: the next try sees it. Or a bug. */
const overtakings = new Set(["23505", "23503"]);

/** Statements get their names here, process-wide: a connection may have been prepared by any transaction. */
const statementNames = new Map<string, string>();

function statementOf(sql: string, values: readonly Value[]): pg.QueryConfig {
  let name = statementNames.get(sql);
  if (name === undefined) {
    name = `s${statementNames.size}`;
    statementNames.set(sql, name);
  }
  return { name, text: sql, values: values.map(toSql) };
}

/** Postgres has no text with a NUL; what comes from outside may. */
function toSql(value: Value): unknown {
  if (typeof value === "string") return value.includes("\0") ? value.replaceAll("\0", "\uFFFD") : value;
  return Array.isArray(value) ? value.map(toSql) : value;
}

/** The pool: bounded, every wait with a deadline, every connection durable. */
export class Database implements Queries {
  readonly policy: DeliveryPolicy;
  readonly owner: Owner;
  readonly limits: InFlightLimits;
  readonly feedPatienceMs: number;
  readonly #pool: pg.Pool;
  readonly #onChanged: (kinds: ReadonlySet<ChangeKind>) => void;
  readonly #onCommitted: (durationMs: number) => void;
  #closed: Promise<void> | null = null;
  #rejoining: Promise<void> | null = null;

  constructor(options: DatabaseOptions) {
    this.policy = options.policy;
    this.owner = options.owner;
    this.limits = options.limits ?? { endpointMaxInFlight: 32, hostMaxInFlight: 64 };
    this.feedPatienceMs = options.feedPatienceMs ?? 1000;
    this.#onChanged = options.onChanged ?? (() => undefined);
    this.#onCommitted = options.onCommitted ?? (() => undefined);
    this.#pool = createPool(options.connectionString, options.poolSize ?? 10);
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
   * the database. Rejects with `StoreUnavailable` when the server cannot be reached or did not answer in time; whether a
   * commit whose answer was lost took place is then unknown, as with every database.
   */
  async transaction<T>(work: (tx: Transaction) => Promise<T>, deadlineMs = performance.now() + answerWithinMs): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#transactOnce(work, deadlineMs);
      } catch (error) {
        const delayMs = retryMinMs * 2 ** tries * (0.5 + Math.random() / 2);
        if (!isTransient(error)) throw error;
        if (tries >= maxTries || performance.now() + delayMs >= deadlineMs)
          throw overtakings.has(sqlStateOf(error) ?? "") ? error : new StoreUnavailable(messageOf(error), { cause: error });
        await sleep(delayMs);
      }
    }
  }

  /** A transaction of this instance: rejects with `InstanceFenced` and writes nothing when it was evicted. */
  async ownerTransaction<T>(work: (tx: Transaction, token: number) => Promise<T>, deadlineMs?: number): Promise<T> {
    return this.transaction(async (tx) => {
      const { token } = this.owner;
      if (token === null) throw new InstanceFenced();
      // Sent together: what was written without a lease is rolled back.
      const [, value] = await Promise.all([tx.fence(token), work(tx, token)]);
      return value;
    }, deadlineMs).catch((error: unknown) => {
      if (error instanceof InstanceFenced) this.rejoin().catch(() => undefined);
      throw error;
    });
  }

  /** Gets this instance a new token; whoever asks meanwhile waits for the same. */
  rejoin(): Promise<void> {
    if (this.owner.rejoin === undefined) return Promise.reject(new InstanceFenced());
    this.#rejoining ??= this.owner.rejoin().finally(() => {
      this.#rejoining = null;
    });
    return this.#rejoining;
  }

  /** Lets what runs finish, then closes every connection. May be called twice. */
  close(): Promise<void> {
    return (this.#closed ??= this.#pool.end());
  }

  async #single(sql: string, values: readonly Value[]): Promise<pg.QueryResult<Row>> {
    const deadlineMs = performance.now() + answerWithinMs;
    const client = await this.#connect();
    try {
      const result = await client.query<Row>({ ...statementOf(sql, values), ...timeoutBy(deadlineMs) });
      client.release();
      return result;
    } catch (error) {
      client.release(isConnectionError(error));
      throw toStoreError(error);
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
      const cause = tx.failure ?? error;
      const broken = isConnectionError(cause) || !(await tx.rollback());
      client.release(broken);
      throw toStoreError(cause);
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    if (this.#closed !== null) throw new StoreUnavailable("the store is closed");
    if (this.#pool.waitingCount >= waitingLimit) throw new StoreOverloaded();
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw new StoreUnavailable(`the database cannot be reached: ${messageOf(error)}`, { cause: error });
    }
  }
}

/** One transaction on one connection. Statements that do not need each other's answers may be sent together. */
export class Transaction implements Queries {
  readonly policy: DeliveryPolicy;
  readonly limits: InFlightLimits;
  /** Kinds of changes, announced once committed. */
  readonly changed = new Set<ChangeKind>();
  /** How long the commit took. */
  commitMs = 0;
  /** Why the first statement that failed did; of those sent behind it, the server only says that they came too late. */
  failure: unknown;
  #over = false;
  readonly #client: pg.PoolClient;
  readonly #owner: Owner;
  readonly #deadlineMs: number;

  constructor(client: pg.PoolClient, { policy, limits, owner }: Pick<Database, "policy" | "limits" | "owner">, deadlineMs: number) {
    this.policy = policy;
    this.limits = limits;
    this.#client = client;
    this.#owner = owner;
    this.#deadlineMs = deadlineMs;
  }

  get hasPeers(): boolean {
    return this.#owner.hasPeers;
  }

  /** This instance's, without a look whether it is still there: for what is written at its own risk. */
  get token(): number | null {
    return this.#owner.token;
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
   * The row of this instance stays until the transaction ends: whoever evicts it waits for that. Throws `InstanceFenced`
   * when the row is gone, for then somebody else may own what this instance owned.
   */
  async fence(token: number): Promise<void> {
    if ((await this.get("select 1 from instances where token = $1 for key share", token)) === undefined) throw new InstanceFenced();
  }

  async begin(): Promise<void> {
    await this.#query({ text: "begin" });
  }

  async commit(): Promise<void> {
    const startedMs = performance.now();
    const committed = this.#query({ text: "commit" });
    this.#over = true;
    await committed;
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
    if (this.#over) throw new StoreUnavailable("the transaction is over");
    try {
      return await this.#client.query<Row>({ ...statement, ...timeoutBy(this.#deadlineMs) });
    } catch (error) {
      this.failure ??= error;
      throw error;
    }
  }
}

function createPool(connectionString: string, max: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max,
    application_name: "ringback",
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    pipeline: true,
    types: { getTypeParser: typeParserOf },
    onConnect: prepareSession,
  });
  // A connection that breaks while nobody uses it is dropped by the pool; whoever uses it hears of it by its statement.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

/**
 * Set by a statement, not in the startup packet: poolers refuse what they do not know there. Every statement of ours is
 * meant to go by an index and joins in the order it names its tables, whatever those held when it was planned: the plan made
 * for an empty table is kept and must do for a full one.
 */
export const planSettings = `
  set plan_cache_mode = force_generic_plan;
  set enable_seqscan = off;
  set enable_hashjoin = off;
  set enable_mergejoin = off;
  set join_collapse_limit = 1;
  set jit = off`;
const sessionSettings = `
  set statement_timeout = ${statementTimeoutMs};
  set lock_timeout = ${lockTimeoutMs};
  set idle_in_transaction_session_timeout = ${idleInTransactionTimeoutMs};
  ${planSettings};
  select current_setting('synchronous_commit') as value`;

/** Whatever the server's default is: an answer means that it is on disk there. */
async function prepareSession(client: pg.ClientBase): Promise<void> {
  const bounded = { query_timeout: connectTimeoutMs };
  // Of several statements there are several results.
  const results = (await client.query<Row>({ text: sessionSettings, ...bounded })) as unknown as readonly pg.QueryResult<Row>[];
  if (results.at(-1)?.rows[0]?.["value"] === "off") await client.query({ text: "set synchronous_commit = on", ...bounded });
}

/** int8, numeric and xid8 as numbers. */
const numberOids = new Set([20, 1700, 5069]);

function typeParserOf(oid: number, format?: "text" | "binary"): (value: string) => unknown {
  return numberOids.has(oid) ? Number : (pg.types.getTypeParser(oid, format as "text") as (value: string) => unknown);
}

/** A statement that is not answered by then ends with its connection: in a pipeline nothing behind it could be. */
function timeoutBy(deadlineMs: number): { readonly query_timeout: number } {
  return { query_timeout: Math.max(1, Math.ceil(deadlineMs - performance.now())) };
}

/** Five letters or digits: what the server answers. */
function sqlStateOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return error instanceof pg.DatabaseError && typeof code === "string" ? code : null;
}

function isTransient(error: unknown): boolean {
  const state = sqlStateOf(error) ?? "";
  return error instanceof TransactionOvertaken || conflicts.has(state) || overtakings.has(state);
}

/** No answer of the server, or one of class 57P: it is going away. */
function isConnectionError(error: unknown): boolean {
  if (error instanceof RingbackError) return false;
  const state = sqlStateOf(error);
  return state === null ? isPgClientError(error) : state.startsWith("57P") || state.startsWith("08");
}

/** Errors of sockets and of `pg` itself, told from our own bugs. */
function isPgClientError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return typeof (error as NodeJS.ErrnoException).syscall === "string" || /connection|read timeout|not queryable/i.test(error.message);
}

/** Passing trouble of the server: cannot connect now, timeouts, shutting down, out of disk, memory or connections. */
const unavailableStates = /^(?:08|53|57|58|55P03|25P0[123]|F0|XX)/;

function toStoreError(error: unknown): unknown {
  if (error instanceof RingbackError || isTransient(error)) return error;
  const state = sqlStateOf(error);
  const passing = state === null ? isPgClientError(error) : unavailableStates.test(state);
  return passing ? new StoreUnavailable(`the database failed: ${messageOf(error)}`, { cause: error }) : error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
