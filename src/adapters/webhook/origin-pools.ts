import { Client, Pool } from "undici";
import type { Dispatcher, buildConnector } from "undici";

const maxOrigins = 1000;
const connectionsPerOrigin = 32;
const idleMs = 60_000;

type Entry = { readonly pool: Pool; running: number; usedAtMonotonicMs: number };

/** Somewhere to dispatch to, until `release`. */
export type Lease = { readonly dispatcher: Dispatcher; release(): void };

/**
 * One pool for each origin, at most a thousand however many hosts strangers name: the one idle longest makes room, and
 * while none is idle an exchange gets a connection of its own. Closed after a minute without use.
 */
export class OriginPools {
  readonly #connect: buildConnector.connector;
  readonly #entries = new Map<string, Entry>();
  readonly #single = new Set<Client>();

  constructor(connect: buildConnector.connector) {
    this.#connect = connect;
  }

  lease(origin: string): Lease {
    let entry = this.#entries.get(origin);
    if (entry === undefined) {
      if (this.#entries.size >= maxOrigins && !this.#evictOldestIdle()) return this.leaseFresh(origin);
      entry = { pool: new Pool(origin, { connections: connectionsPerOrigin, ...this.#options }), running: 0, usedAtMonotonicMs: 0 };
    }
    const leased = entry;
    leased.running += 1;
    // Used last, so at the end of the map's order.
    this.#entries.delete(origin);
    this.#entries.set(origin, leased);
    return {
      dispatcher: leased.pool,
      release: () => {
        leased.running -= 1;
        leased.usedAtMonotonicMs = performance.now();
      },
    };
  }

  /** A connection that nobody used before. */
  leaseFresh(origin: string): Lease {
    const client = new Client(origin, this.#options);
    this.#single.add(client);
    return {
      dispatcher: client,
      release: () => {
        this.#single.delete(client);
        void client.destroy();
      },
    };
  }

  closeIdle(): void {
    const nowMs = performance.now();
    for (const [origin, entry] of this.#entries)
      if (entry.running === 0 && nowMs - entry.usedAtMonotonicMs > idleMs) this.#close(origin, entry);
  }

  async destroy(): Promise<void> {
    const dispatchers = [...[...this.#entries.values()].map((entry) => entry.pool), ...this.#single];
    this.#entries.clear();
    this.#single.clear();
    await Promise.all(dispatchers.map((dispatcher) => dispatcher.destroy()));
  }

  get #options() {
    return {
      connect: this.#connect,
      allowH2: false,
      pipelining: 1,
      keepAliveTimeout: 4000,
      keepAliveMaxTimeout: 30_000,
      // The sender has one deadline for the whole exchange.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: 16_384,
    };
  }

  #evictOldestIdle(): boolean {
    for (const [origin, entry] of this.#entries)
      if (entry.running === 0) {
        this.#close(origin, entry);
        return true;
      }
    return false;
  }

  #close(origin: string, entry: Entry): void {
    this.#entries.delete(origin);
    void entry.pool.destroy();
  }
}
