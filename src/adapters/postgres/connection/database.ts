import { setTimeout as sleep } from "node:timers/promises";
import { defaultMarkSizes } from "../../sql/marks/mark-rows.ts";
import type { DeliveryPolicy, MarkSizes } from "../../../domain/deliveries/retry-policy.ts";
import { InstanceFencedError, StoreUnavailableError } from "../../../domain/errors.ts";
import { sharedFlows } from "../../sql/operation-flows.ts";
import type { ChangeKind } from "../../sql/queries.ts";
import type { Row } from "../../sql/rows.ts";
import { afterLastTry, isConnectionError, isTransient, toStoreError } from "./failures.ts";
import type { InFlightLimits, InstanceIdentity, Queries, Value } from "./queries.ts";
import { Connections } from "./connections.ts";
import { breakOf, statementOf, timeoutBy } from "./session.ts";
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
const retryMinMs = 5;

/** What a database shares with those of other flows. */
type Shared = { readonly connections: Connections; rejoining: Promise<void> | null };

/** The database on a bounded number of connections, with a deadline for every wait and durable commits on every connection. */
export class Database implements Queries {
  readonly #options: DatabaseOptions;
  readonly #shared: Shared;
  readonly #flow: string;
  readonly owner: InstanceIdentity;
  readonly limits: InFlightLimits;
  readonly feedLingerMs: number;

  /** `shared` and `flow` are for `of`. */
  constructor(options: DatabaseOptions, shared: Shared | null = null, flow: string = sharedFlows.instance) {
    this.#options = options;
    this.#shared = shared ?? { connections: new Connections(options.connectionString, options.poolSize ?? 10), rejoining: null };
    this.#flow = flow;
    this.owner = options.owner;
    this.limits = options.limits ?? { endpointMaxInFlight: 32, hostMaxInFlight: 64 };
    this.feedLingerMs = options.feedLingerMs ?? 1000;
  }

  /** Returns the same database for one flow, an account or a kind of work: flows that wait for a connection take turns. */
  of(flow: string): Database {
    return flow === this.#flow ? this : new Database(this.#options, this.#shared, flow);
  }

  get policy(): DeliveryPolicy {
    if (this.#options.policy === null) throw new Error("administration delivers nothing");
    return this.#options.policy;
  }

  /** Sizes of work on many rows, which administration carries out too. */
  get markSizes(): MarkSizes {
    return this.#options.policy?.marks ?? defaultMarkSizes;
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
    this.#shared.rejoining ??= this.owner.rejoin().finally(() => {
      this.#shared.rejoining = null;
    });
    return this.#shared.rejoining;
  }

  /** Waits for running operations, then closes every connection. May be called twice. */
  close(): Promise<void> {
    return this.#shared.connections.close();
  }

  /** Begins an epoch of the feed, at the start of an instance. */
  beginEpoch(): Promise<void> {
    return this.#shared.connections.beginEpoch();
  }

  /** Opens a connection outside the pool, for a transaction of many calls. */
  connectBeside(applicationName: string): Promise<pg.Client> {
    return this.#shared.connections.connectBeside(applicationName);
  }

  closeBeside(client: pg.Client): Promise<void> {
    return this.#shared.connections.closeBeside(client);
  }

  #single(sql: string, values: readonly Value[]): Promise<pg.QueryResult<Row>> {
    const deadlineMs = performance.now() + answerWithinMs;
    return this.#answer(async () => {
      const { client, release } = await this.#shared.connections.acquire(this.#flow);
      try {
        const result = await client.query<Row>({ ...statementOf(sql, values), ...timeoutBy(deadlineMs) });
        release();
        return result;
      } catch (error) {
        release(isConnectionError(error));
        throw toStoreError(error);
      }
    }, deadlineMs);
  }

  async #answer<T>(run: () => Promise<T>, deadlineMs: number): Promise<T> {
    try {
      return await this.#runWithRetries(run, deadlineMs);
    } catch (error) {
      if (error instanceof StoreUnavailableError && !(error instanceof InstanceFencedError)) this.#options.onUnavailable?.();
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
    const { client, release } = await this.#shared.connections.acquire(this.#flow);
    const tx = new Transaction(client, this, deadlineMs);
    try {
      const [, value] = await Promise.all([tx.begin(), work(tx)]);
      await tx.commit();
      release();
      this.#options.onCommitted?.(tx.commitMs);
      if (tx.changed.size > 0) this.#options.onChanged?.(tx.changed);
      return value;
    } catch (error) {
      const broke = breakOf(client);
      const cause = broke !== null && isTransient(broke) ? broke : (tx.failure ?? error);
      const broken = isConnectionError(cause) || !(await tx.rollback());
      release(broken);
      throw toStoreError(cause);
    }
  }
}
