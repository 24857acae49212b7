import { Pool } from "undici";
import type { Dispatcher, buildConnector } from "undici";
import { maxConnectionAgeMs } from "../http-client/http-connection.ts";
import { ReuseAwareClient } from "../http-client/reuse-aware-client.ts";

/** Maximum number of pooled connections, the default of `HOST_MAX_IN_FLIGHT`. Each further webhook to the host costs a handshake. */
const connectionsPerOrigin = 64;
const idleMs = 60_000;

type Entry = { readonly pool: Pool; readonly connect: buildConnector.connector; running: number; usedAtMonotonicMs: number };

/** A dispatcher for one exchange, until `release`. */
export type Lease = { readonly dispatcher: Dispatcher; release(): void };

export type OriginPoolsOptions = { readonly maxOrigins: number; readonly maxConnectionAgeMs?: number };

/**
 * Pools of connections, one for each origin. Their number is bounded: a new pool evicts the one that was idle longest. If
 * no pool is idle, or if all connections of an origin are in use, an exchange gets a connection of its own, because the
 * timeout belongs to the receiver and must not pass in a local queue. The caller bounds the number of exchanges in flight.
 */
export class OriginPools {
  readonly #connectorFor: (origin: URL) => buildConnector.connector;
  readonly #maxOrigins: number;
  readonly #maxConnectionAgeMs: number;
  readonly #entries = new Map<string, Entry>();
  readonly #single = new Set<Dispatcher>();

  constructor(connectorFor: (origin: URL) => buildConnector.connector, options: OriginPoolsOptions) {
    this.#connectorFor = connectorFor;
    this.#maxOrigins = options.maxOrigins;
    this.#maxConnectionAgeMs = options.maxConnectionAgeMs ?? maxConnectionAgeMs;
  }

  lease(origin: string): Lease {
    const entry = this.#entries.get(origin) ?? this.#open(origin);
    if (entry === null || entry.running >= connectionsPerOrigin) return this.leaseFresh(origin);
    entry.running += 1;
    entry.usedAtMonotonicMs = performance.now();
    return {
      dispatcher: entry.pool,
      release: () => {
        entry.running -= 1;
        entry.usedAtMonotonicMs = performance.now();
      },
    };
  }

  /** Leases a new connection, which is closed at its release. */
  leaseFresh(origin: string): Lease {
    const url = new URL(origin);
    const client = this.#createClient(url, this.#entries.get(origin)?.connect ?? this.#connectorFor(url), connectionOptions);
    this.#single.add(client);
    return {
      dispatcher: client,
      release: () => {
        this.#single.delete(client);
        void client.destroy();
      },
    };
  }

  /** Closes the pools that were not used for a minute. */
  closeIdle(nowMonotonicMs = performance.now()): void {
    for (const [origin, entry] of this.#entries)
      if (entry.running === 0 && nowMonotonicMs - entry.usedAtMonotonicMs > idleMs) this.#close(origin, entry);
  }

  async destroy(): Promise<void> {
    const dispatchers = [...[...this.#entries.values()].map((entry) => entry.pool), ...this.#single];
    this.#entries.clear();
    this.#single.clear();
    await Promise.all(dispatchers.map((dispatcher) => dispatcher.destroy()));
  }

  #createClient(origin: URL, connect: buildConnector.connector, options: typeof connectionOptions): ReuseAwareClient {
    return new ReuseAwareClient(origin, { ...options, connect, maxConnectionAgeMs: this.#maxConnectionAgeMs });
  }

  /** Opens a pool; `null` if the maximum number of pools is in use. */
  #open(origin: string): Entry | null {
    if (this.#entries.size >= this.#maxOrigins && !this.#evictIdleLongest()) return null;
    const url = new URL(origin);
    const connect = this.#connectorFor(url);
    const pool = new Pool(url, {
      connections: connectionsPerOrigin,
      factory: (poolOrigin, options) => this.#createClient(poolOrigin, connect, options as typeof connectionOptions),
      connect,
      ...connectionOptions,
    });
    const entry = { pool, connect, running: 0, usedAtMonotonicMs: 0 };
    this.#entries.set(origin, entry);
    return entry;
  }

  /** Looks at all entries, which costs less than the connection that is dialled next. An order by use would be written for every exchange. */
  #evictIdleLongest(): boolean {
    let longest: readonly [origin: string, entry: Entry] | null = null;
    for (const idle of this.#entries)
      if (idle[1].running === 0 && (longest === null || idle[1].usedAtMonotonicMs < longest[1].usedAtMonotonicMs)) longest = idle;
    if (longest !== null) this.#close(...longest);
    return longest !== null;
  }

  #close(origin: string, entry: Entry): void {
    this.#entries.delete(origin);
    void entry.pool.destroy();
  }
}

const connectionOptions = {
  allowH2: false,
  pipelining: 1,
  keepAliveTimeout: 4000,
  keepAliveMaxTimeout: 30_000,
  // The sender enforces one deadline for the whole exchange.
  headersTimeout: 0,
  bodyTimeout: 0,
};
