import { Resolver } from "node:dns/promises";
import { lookup } from "node:dns/promises";

export type ResolvedAddress = { readonly address: string; readonly family: 4 | 6 };

/** A name that has no address, or whose servers do not say. `code` is the name server's (`ENOTFOUND`, `ETIMEOUT`, …). */
export class DnsFailure extends Error {
  readonly code: string;
  constructor(code: string) {
    super(`the name does not resolve (${code})`);
    this.name = "DnsFailure";
    this.code = code;
  }
}

const queryTimeoutMs = 2000;
const queryTries = 2;
const maxQueries = 64;
const maxWaiting = 10_000;
const minTtlSeconds = 5;
const maxTtlSeconds = 60;
const cacheEntries = 10_000;

type Cached = { readonly addresses: readonly ResolvedAddress[]; readonly untilMonotonicMs: number };

/**
 * Asks the name servers itself (c-ares, A and AAAA together, never the hosts file): `dns.lookup` serves two names at a
 * time for the whole process, so that a few dead domains would hold everybody. Bounded, cached by TTL (5 to 60 s),
 * one question for a name at a time.
 */
export class NameResolver {
  readonly #resolver = new Resolver({ timeout: queryTimeoutMs, tries: queryTries });
  readonly #cache = new Map<string, Cached>();
  readonly #asking = new Map<string, Promise<readonly ResolvedAddress[]>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** `servers`: addresses with an optional port; none: the system's. */
  constructor(servers: readonly string[]) {
    if (servers.length > 0) this.#resolver.setServers(servers);
  }

  /** Every address of the name; rejects with `DnsFailure`. */
  resolve(hostname: string): Promise<readonly ResolvedAddress[]> {
    const name = hostname.toLowerCase().replace(/\.$/, "");
    const cached = this.#cache.get(name);
    if (cached !== undefined && cached.untilMonotonicMs > performance.now()) return Promise.resolve(cached.addresses);
    let asking = this.#asking.get(name);
    if (asking === undefined) {
      asking = this.#ask(name).finally(() => this.#asking.delete(name));
      this.#asking.set(name, asking);
    }
    return asking;
  }

  /** Through the system's own lookup, hosts file included: for names the operator allows. */
  async resolveBySystem(hostname: string): Promise<readonly ResolvedAddress[]> {
    try {
      const found = await lookup(hostname, { all: true });
      return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
    } catch (error) {
      throw new DnsFailure(codeOf(error));
    }
  }

  close(): void {
    this.#resolver.cancel();
  }

  async #ask(name: string): Promise<readonly ResolvedAddress[]> {
    await this.#enter();
    try {
      const [v4, v6] = await Promise.allSettled([
        this.#resolver.resolve4(name, { ttl: true }),
        this.#resolver.resolve6(name, { ttl: true }),
      ]);
      const records = [
        ...(v4.status === "fulfilled" ? v4.value.map((record) => ({ ...record, family: 4 as const })) : []),
        ...(v6.status === "fulfilled" ? v6.value.map((record) => ({ ...record, family: 6 as const })) : []),
      ];
      if (records.length === 0) throw new DnsFailure(v4.status === "rejected" ? codeOf(v4.reason) : "ENODATA");
      const addresses = records.map(({ address, family }) => ({ address, family }));
      const ttlSeconds = Math.min(Math.max(Math.min(...records.map((record) => record.ttl)), minTtlSeconds), maxTtlSeconds);
      this.#remember(name, { addresses, untilMonotonicMs: performance.now() + ttlSeconds * 1000 });
      return addresses;
    } finally {
      this.#leave();
    }
  }

  async #enter(): Promise<void> {
    if (this.#running < maxQueries) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.length >= maxWaiting) throw new DnsFailure("EBUSY");
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    await promise;
  }

  /** The place goes to whoever waits longest, so the count stays. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }

  #remember(name: string, cached: Cached): void {
    this.#cache.delete(name);
    const oldest = this.#cache.size >= cacheEntries ? this.#cache.keys().next() : null;
    if (oldest !== null && oldest.done !== true) this.#cache.delete(oldest.value);
    this.#cache.set(name, cached);
  }
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : "EUNKNOWN";
}
