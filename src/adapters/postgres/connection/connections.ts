import { messageOf } from "../../../domain/error-text.ts";
import { StoreOverloadedError, StoreUnavailableError } from "../../../domain/errors.ts";
import { FairSlots, SlotsFull, SlotTimeout } from "../../fair-slots.ts";
import { waitAtMost } from "../../wait-at-most.ts";
import { toStoreError } from "./failures.ts";
import { beginEpoch, readOrigin } from "./feed-epochs.ts";
import { connectClient, connectTimeoutMs, createPool } from "./session.ts";
import type pg from "pg";

/** A connection of the pool, until `release` is called. A broken one is closed. */
export type AcquiredConnection = { readonly client: pg.PoolClient; readonly release: (isBroken?: boolean) => void };

/** A connection that the server does not close in this time is left to it. */
const closeWithinMs = 1000;
/** Maximum number of statements that wait for a connection. One flow alone may have half of it. */
const waitingLimit = 20_000;

/**
 * The connections of one database. Flows that wait for one take turns, and a flow has at most half of them, so that an account
 * with hundreds of reads under way delays another one by the turns of the flows alone.
 */
export class Connections {
  readonly #connectionString: string;
  readonly #pool: pg.Pool;
  readonly #slots: FairSlots;
  readonly #beside = new Set<pg.Client>();
  /** Origin of the database as of the newest connection that was checked. */
  #origin: string | null = null;
  #closed: Promise<void> | null = null;

  constructor(connectionString: string, size: number) {
    this.#connectionString = connectionString;
    this.#pool = createPool(connectionString, size, (client) => this.#checkOrigin(client));
    this.#slots = new FairSlots({ total: size, perGroup: Math.ceil(size / 2), waiting: waitingLimit, maxWaitMs: connectTimeoutMs });
  }

  /**
   * Rejects with `StoreUnavailableError` if the database cannot be reached or no connection becomes free in time, and with
   * `StoreOverloadedError` if too many wait.
   */
  async acquire(flow: string): Promise<AcquiredConnection> {
    this.#checkOpen();
    const leave = await this.#waitForTurn(flow);
    try {
      const client = await this.#connect();
      return {
        client,
        release: (isBroken) => {
          client.release(isBroken);
          leave();
        },
      };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Waits for running operations, then closes every connection. May be called twice. */
  close(): Promise<void> {
    return (this.#closed ??= Promise.all([this.#pool.end(), ...[...this.#beside].map((client) => this.closeBeside(client))]).then(
      () => undefined,
    ));
  }

  /** Begins an epoch of the feed, at the start of an instance. */
  async beginEpoch(): Promise<void> {
    this.#checkOpen();
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
    this.#checkOpen();
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

  #checkOpen(): void {
    if (this.#closed !== null) throw new StoreUnavailableError("the store is closed");
  }

  async #waitForTurn(flow: string): Promise<() => void> {
    try {
      return await this.#slots.acquire(flow);
    } catch (error) {
      if (error instanceof SlotTimeout)
        throw new StoreUnavailableError("the database is too slow: no connection became free", { cause: error });
      throw error instanceof SlotsFull ? new StoreOverloadedError() : error;
    }
  }

  /** An operation that has waited for its turn while the store closed is refused by the pool. */
  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw new StoreUnavailableError(`the database cannot be reached: ${messageOf(error)}`, { cause: error });
    }
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
}
