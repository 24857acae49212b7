import { Resolver, lookup } from "node:dns/promises";
import { FairSlots, SlotsFull } from "./fair-slots.ts";

export type ResolvedAddress = { readonly address: string; readonly family: 4 | 6 };

/** A name that has no address, or whose servers do not say. `code` is the name server's (`ENOTFOUND`, `ETIMEOUT`, …). */
class DnsFailure extends Error {
  readonly failureCode = "dns";
  readonly code: string;
  constructor(code: string, options?: ErrorOptions) {
    super(`the name does not resolve (${code})`, options);
    this.name = "DnsFailure";
    this.code = code;
  }
}

const queryLimits = { timeout: 2000, tries: 2 };
const slotLimits = { total: 64, perGroup: 4, waiting: 10_000 };
const minTtlSeconds = 5;
const maxTtlSeconds = 60;
const cacheEntries = 10_000;

type Cached = { readonly addresses: readonly ResolvedAddress[]; readonly untilMonotonicMs: number };
type Answer = { readonly addresses: readonly ResolvedAddress[]; readonly ttlSeconds: number };

/**
 * Asks the name servers itself (c-ares, A and AAAA together, never the hosts file): `dns.lookup` serves two names at a
 * time for the whole process, so that a few dead domains would hold everybody. Bounded, cached by TTL (5 to 60 s),
 * one question for a name at a time.
 */
export class NameResolver {
  readonly #resolver = new Resolver(queryLimits);
  readonly #cache = new Map<string, Cached>();
  readonly #asking = new Map<string, Promise<readonly ResolvedAddress[]>>();
  readonly #slots = new FairSlots(slotLimits);
  readonly #monotonicMs: () => number;
  #isClosed = false;

  /** `servers`: addresses with an optional port; none: the system's. */
  constructor(servers: readonly string[], monotonicMs: () => number = () => performance.now()) {
    if (servers.length > 0) this.#resolver.setServers(servers);
    this.#monotonicMs = monotonicMs;
  }

  /** Every address of the name; rejects with `DnsFailure`. `group`: on whose behalf; at most 4 of its questions run at once. */
  resolve(hostname: string, group: string = hostname): Promise<readonly ResolvedAddress[]> {
    const name = hostname.toLowerCase().replace(/\.$/, "");
    const cached = this.#cache.get(name);
    if (cached !== undefined && cached.untilMonotonicMs > this.#monotonicMs()) return Promise.resolve(cached.addresses);
    let asking = this.#asking.get(name);
    if (asking === undefined) {
      asking = this.#askInTurn(name, group).finally(() => this.#asking.delete(name));
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
      throw new DnsFailure(codeOf(error), { cause: error });
    }
  }

  /** Fails what is being asked and what waits. */
  close(): void {
    this.#isClosed = true;
    this.#resolver.cancel();
  }

  async #askInTurn(name: string, group: string): Promise<readonly ResolvedAddress[]> {
    try {
      const { addresses, ttlSeconds } = await this.#slots.run(group, () => this.#ask(name));
      this.#remember(name, { addresses, untilMonotonicMs: this.#monotonicMs() + ttlSeconds * 1000 });
      return addresses;
    } catch (error) {
      if (error instanceof SlotsFull) throw new DnsFailure("EBUSY", { cause: error });
      throw error;
    }
  }

  async #ask(name: string): Promise<Answer> {
    if (this.#isClosed) throw new DnsFailure("ECANCELLED");
    const [v4, v6] = await Promise.allSettled([this.#resolver.resolve4(name, { ttl: true }), this.#resolver.resolve6(name, { ttl: true })]);
    const records = [
      ...(v4.status === "fulfilled" ? v4.value.map((record) => ({ ...record, family: 4 as const })) : []),
      ...(v6.status === "fulfilled" ? v6.value.map((record) => ({ ...record, family: 6 as const })) : []),
    ];
    if (records.length === 0) throw new DnsFailure(v4.status === "rejected" ? codeOf(v4.reason) : "ENODATA");
    const addresses = records.map(({ address, family }) => ({ address, family }));
    const ttlSeconds = Math.min(Math.max(Math.min(...records.map((record) => record.ttl)), minTtlSeconds), maxTtlSeconds);
    return { addresses, ttlSeconds };
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
