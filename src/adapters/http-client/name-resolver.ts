import { lookup } from "node:dns/promises";
import { LRUCache } from "lru-cache";
import { DnsFailure, dnsFailureOf } from "./dns-failure.ts";
import { FairSlots, SlotsFull } from "../fair-slots.ts";
import { gatherAddresses } from "./gathered-addresses.ts";
import { NameServers } from "./name-servers.ts";
import type { AddressRecord, NameServersOptions } from "./name-servers.ts";

export type ResolvedAddress = { readonly address: string; readonly family: 4 | 6 };

/** Time limit of one look-up, from its first question. An exchange that waits for it has at least twice as long. */
const lookUpLimitMs = 5000;
const slotLimits = { total: 64, perGroup: 4, waiting: 10_000, maxWaitMs: 5000 };
/**
 * Maximum number of look-ups that have released their slot while their questions still run. A further one keeps its slot
 * until its questions end.
 */
const maxStragglers = 1000;
const minTtlSeconds = 5;
const maxTtlSeconds = 60;
/** Given as a size, because a cache with a number of entries allocates all of them when it is made. */
const cacheEntries = 10_000;

type Cached = { readonly addresses: readonly ResolvedAddress[]; readonly untilMonotonicMs: number };

/**
 * Resolves names through the name servers, with A and AAAA questions at the same time. `dns.lookup` is not used: it serves
 * two names at a time for the whole process, so that a few dead domains would delay all others, and it returns nothing
 * before both answers. Look-ups are bounded, one at a time for each name, and cached by TTL (5 to 60 s).
 */
export class NameResolver {
  readonly #nameServers: NameServers;
  readonly #cache = new LRUCache<string, Cached>({ maxSize: cacheEntries, sizeCalculation: () => 1 });
  /** Look-ups under way, by name. All groups share them. */
  readonly #asked = new Map<string, Promise<readonly ResolvedAddress[]>>();
  /** Look-ups that wait for a slot, by group and name, because each group waits for its own turn. */
  readonly #waiting = new Map<string, Promise<readonly ResolvedAddress[]>>();
  readonly #slots = new FairSlots(slotLimits);
  readonly #monotonicMs: () => number;
  #stragglers = 0;

  constructor(options: NameServersOptions) {
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.#nameServers = new NameServers(options);
  }

  /**
   * Resolves with the addresses of a name, which is taken as absolute. If the A or the AAAA records do not arrive in time,
   * resolves with the others. Rejects with `DnsFailure` within 10 s. At most 4 look-ups of one `group` run at the same
   * time.
   */
  resolve(hostname: string, group: string = hostname): Promise<readonly ResolvedAddress[]> {
    const name = hostname.toLowerCase().replace(/\.$/, "");
    const known = this.#known(name);
    if (known !== null) return known;
    const turn = `${group} ${name}`;
    let waiting = this.#waiting.get(turn);
    if (waiting === undefined) {
      waiting = this.#lookUpInTurn(name, group).finally(() => this.#waiting.delete(turn));
      this.#waiting.set(turn, waiting);
    }
    return waiting;
  }

  /** Resolves through the system's own lookup, hosts file included. */
  async resolveBySystem(hostname: string): Promise<readonly ResolvedAddress[]> {
    const deadline = Promise.withResolvers<never>();
    const timer = setTimeout(() => deadline.reject(new DnsFailure("ETIMEOUT")), lookUpLimitMs);
    try {
      const found = await Promise.race([lookup(hostname, { all: true }), deadline.promise]);
      return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
    } catch (error) {
      throw dnsFailureOf(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Fails all look-ups that run or wait. */
  close(): void {
    this.#nameServers.close();
  }

  async #lookUpInTurn(name: string, group: string): Promise<readonly ResolvedAddress[]> {
    const release = await this.#slots.acquire(group).catch((error: unknown) => {
      // No question was sent: the queue of this process is at fault, not the name.
      throw error instanceof SlotsFull ? new DnsFailure("EBUSY", { cause: error }) : error;
    });
    // Another group may have asked meanwhile.
    const known = this.#known(name);
    if (known !== null) {
      release();
      return known;
    }
    const asked = this.#lookUp(name, release).finally(() => this.#asked.delete(name));
    this.#asked.set(name, asked);
    return asked;
  }

  /** Returns the cached answer or the look-up under way; `null` if the name servers must be asked. */
  #known(name: string): Promise<readonly ResolvedAddress[]> | null {
    const cached = this.#cache.peek(name);
    if (cached !== undefined && cached.untilMonotonicMs > this.#monotonicMs()) return Promise.resolve(cached.addresses);
    return this.#asked.get(name) ?? null;
  }

  /**
   * Looks a name up. Releases the slot as soon as there are addresses, so that a server that swallows the other question
   * does not occupy it.
   */
  async #lookUp(name: string, release: () => void): Promise<readonly ResolvedAddress[]> {
    const { usable, all } = gatherAddresses([this.#nameServers.ask(name, 4), this.#nameServers.ask(name, 6)], lookUpLimitMs);
    let isRunning = true;
    this.#stragglers += 1;
    const mayRunOn = this.#stragglers <= maxStragglers;
    let kept: Cached | null = null;
    void all.then((records) => {
      isRunning = false;
      this.#stragglers -= 1;
      release();
      // Records that arrived late complete the cached answer.
      if (kept !== null && this.#cache.get(name) === kept) this.#keep(name, records);
    });
    try {
      const records = await usable;
      kept = this.#keep(name, records);
      return kept.addresses;
    } catch (error) {
      if (isRunning) this.#nameServers.noteTimeout();
      throw error;
    } finally {
      if (mayRunOn) release();
    }
  }

  #keep(name: string, records: readonly AddressRecord[]): Cached {
    const ttlSeconds = Math.min(Math.max(Math.min(...records.map((record) => record.ttlSeconds)), minTtlSeconds), maxTtlSeconds);
    const addresses = records.map(({ address, family }) => ({ address, family }));
    const cached = { addresses, untilMonotonicMs: this.#monotonicMs() + ttlSeconds * 1000 };
    this.#cache.set(name, cached);
    return cached;
  }
}
