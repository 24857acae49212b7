import { setTimeout as sleep } from "node:timers/promises";
import { defaultMarkSizes } from "../../sql/marks/mark-rows.ts";
import type { DeliveryPolicy, MarkSizes } from "../../../domain/deliveries/retry-policy.ts";
import { InstanceFencedError, StoreOverloadedError, StoreUnavailableError } from "../../../domain/errors.ts";
import { messageOf } from "../../../domain/error-text.ts";
import type { ChangeKind } from "../../sql/queries.ts";
import type { Row } from "../../sql/rows.ts";
import { afterLastTry, isConnectionError, isTransient, toStoreError } from "./failures.ts";
import type { InFlightLimits, InstanceIdentity, Queries, Value } from "./queries.ts";
import { waitAtMost } from "../../wait-at-most.ts";
import { beginEpoch, readOrigin } from "./feed-epochs.ts";
import { breakOf, connectClient, connectTimeoutMs, createPool, statementOf, timeoutBy } from "./session.ts";
import { Transaction } from "./transaction.ts";
import type pg from "pg";

export type DatabaseOptions = {
  /** `postgres://…`, in any form that `pg` accepts. */
  readonly connectionString: string;
  /** `null` for administration, which sends nothing. */
  readonly policy: DeliveryPolicy | null;
  readonly owner: InstanceIdentity;
  /** Limits in flight for endpoints without a limit of their own, and for hosts. */
  readonly limits?: InFlightLimits;
  /** Maximum number of connections. */
  readonly poolSize?: number;
  /** Time for which a reader of the feed waits for older transactions to end, so that it returns all events committed before its request. */
  readonly feedLingerMs?: number;
  /** Called after the commit of a transaction that changed data of these kinds. */
  readonly onChanged?: (kinds: ReadonlySet<ChangeKind>) => void;
  /** Called after each transaction with the duration of its commit. */
  readonly onCommitted?: (durationMs: number) => void;
  /**
   * Called once for each statement or transaction that failed with `StoreUnavailableError`: a commit whose answer was lost
   * may have taken place. Not called for `InstanceFencedError`, because then nothing was written.
   */
  readonly onUnavailable?: () => void;
};

/** Every operation settles within this time, so that a request can still be answered within its 10 s. */
const answerWithinMs = 8500;
const maxTries = 5;
/** A connection that the server does not close in this time is left to it. */
const closeWithinMs = 1000;
const retryMinMs = 5;
/** Maximum number of operations that wait for a connection. */
const waitingLimit = 10_000;

/** The connection pool: bounded, with a deadline for every wait and durable commits on every connection. */
export class Database implements Queries {
  readonly #policy: DeliveryPolicy | null;
  readonly owner: InstanceIdentity;
  readonly limits: InFlightLimits;
  readonly feedLingerMs: number;
  readonly #connectionString: string;
  readonly #pool: pg.Pool;
  readonly #beside = new Set<pg.Client>();
  readonly #onChanged: (kinds: ReadonlySet<ChangeKind>) => void;
  readonly #onCommitted: (durationMs: number) => void;
  readonly #onUnavailable: () => void;
  /** Origin of the database as of the newest connection that was checked. */
  #origin: string | null = null;
  #closed: Promise<void> | null = null;
  #rejoining: Promise<void> | null = null;

  constructor(options: DatabaseOptions) {
    this.#policy = options.policy;
    this.owner = options.owner;
    this.limits = options.limits ?? { endpointMaxInFlight: 32, hostMaxInFlight: 64 };
    this.feedLingerMs = options.feedLingerMs ?? 1000;
    this.#onChanged = options.onChanged ?? (() => undefined);
    this.#onCommitted = options.onCommitted ?? (() => undefined);
    this.#onUnavailable = options.onUnavailable ?? (() => undefined);
    this.#connectionString = options.connectionString;
    this.#pool = createPool(options.connectionString, options.poolSize ?? 10, (client) => this.#checkOrigin(client));
  }

  get policy(): DeliveryPolicy {
    if (this.#policy === null) throw new Error("administration delivers nothing");
    return this.#policy;
  }

  /** Sizes of work on many rows, which administration carries out too. */
  get markSizes(): MarkSizes {
    return this.#policy?.marks ?? defaultMarkSizes;
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
   * Runs one transaction (read committed). Repeats `work` after a transient failure, so `work` must change nothing but the
   * database. Rejects with `StoreUnavailableError` if the server cannot be reached or does not answer by `deadlineMs`
   * (monotonic); whether a commit whose answer was lost took place is then unknown.
   */
  async transaction<T>(work: (tx: Transaction) => Promise<T>, deadlineMs = performance.now() + answerWithinMs): Promise<T> {
    return this.#answer(() => this.#transactOnce(work, deadlineMs), deadlineMs);
  }

  /** Runs a transaction of this instance. Rejects with `InstanceFencedError` and writes nothing if the instance was evicted. */
  async ownerTransaction<T>(work: (tx: Transaction, token: number) => Promise<T>, deadlineMs?: number): Promise<T> {
    return this.transaction(async (tx) => {
      const { token } = this.owner;
      if (token === null) throw new InstanceFencedError();
      // Sent together; a failed fence rolls back the writes of `work`.
      const [, value] = await Promise.all([tx.fence(token), work(tx, token)]);
      return value;
    }, deadlineMs).catch((error: unknown) => {
      if (error instanceof InstanceFencedError) this.rejoin().catch(() => undefined);
      throw error;
    });
  }

  /** Obtains a new token for this instance. Concurrent calls share one run. */
  rejoin(): Promise<void> {
    if (this.owner.rejoin === undefined) return Promise.reject(new InstanceFencedError());
    this.#rejoining ??= this.owner.rejoin().finally(() => {
      this.#rejoining = null;
    });
    return this.#rejoining;
  }

  /** Waits for running operations, then closes every connection. May be called twice. */
  close(): Promise<void> {
    return (this.#closed ??= Promise.all([this.#pool.end(), ...[...this.#beside].map((client) => this.closeBeside(client))]).then(
      () => undefined,
    ));
  }

  /** Begins an epoch of the feed, at the start of an instance. */
  async beginEpoch(): Promise<void> {
    const client = await this.#connect();
    try {
      await beginEpoch(client, await readOrigin(client, connectTimeoutMs), "start");
      client.release();
    } catch (error) {
      client.release(true);
      throw toStoreError(error);
    }
  }

  /** Opens a connection outside the pool, for a transaction of many calls. */
  async connectBeside(applicationName: string): Promise<pg.Client> {
    if (this.#closed !== null) throw new StoreUnavailableError("the store is closed");
    try {
      const client = await connectClient(this.#connectionString, applicationName);
      this.#beside.add(client);
      if (this.#closed !== null) await this.closeBeside(client);
      return client;
    } catch (error) {
      throw new StoreUnavailableError(`the database cannot be reached: ${messageOf(error)}`, { cause: error });
    }
  }

  async closeBeside(client: pg.Client): Promise<void> {
    this.#beside.delete(client);
    await waitAtMost(closeWithinMs, client.end());
  }

  /**
   * Begins an epoch of the feed if the database is another one than that of the current epoch. No event is written on a
   * connection before this check.
   */
  async #checkOrigin(client: pg.ClientBase): Promise<void> {
    const origin = await readOrigin(client, connectTimeoutMs);
    if (origin === this.#origin) return;
    await beginEpoch(client, origin, "origin");
    this.#origin = origin;
  }

  #single(sql: string, values: readonly Value[]): Promise<pg.QueryResult<Row>> {
    const deadlineMs = performance.now() + answerWithinMs;
    return this.#answer(async () => {
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

  async #answer<T>(run: () => Promise<T>, deadlineMs: number): Promise<T> {
    try {
      return await this.#runWithRetries(run, deadlineMs);
    } catch (error) {
      if (error instanceof StoreUnavailableError && !(error instanceof InstanceFencedError)) this.#onUnavailable();
      throw error;
    }
  }

  async #runWithRetries<T>(run: () => Promise<T>, deadlineMs: number): Promise<T> {
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
