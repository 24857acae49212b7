import { lookup } from "node:dns/promises";
import { LRUCache } from "lru-cache";
import { DnsFailure, dnsFailureOf } from "./dns-failure.ts";
import { FairSlots, SlotsFull } from "./fair-slots.ts";
import { gatherAddresses } from "./gathered-addresses.ts";
import { NameServers } from "./name-servers.ts";
import type { AddressRecord, NameServersOptions } from "./name-servers.ts";

export type ResolvedAddress = { readonly address: string; readonly family: 4 | 6 };

/** The time one look-up has, from its questions on. The exchanges that need it have at least twice as much. */
const lookUpLimitMs = 5000;
const slotLimits = { total: 64, perGroup: 4, waiting: 10_000, maxWaitMs: 5000 };
/** Questions that run on though their look-up has ended. Beyond them a look-up keeps its slot until its questions end. */
const maxStragglers = 1000;
const minTtlSeconds = 5;
const maxTtlSeconds = 60;
const cacheEntries = 10_000;

type Cached = { readonly addresses: readonly ResolvedAddress[]; readonly untilMonotonicMs: number };

/**
 * Resolves names by asking the name servers itself, A and AAAA at the same time: `dns.lookup` serves two names at a time for
 * the whole process, so that a few dead domains would hold up every other, and returns nothing before both answers. Bounded,
 * cached by TTL (5 to 60 s), one look-up of a name at a time.
 */
export class NameResolver {
  readonly #nameServers: NameServers;
  readonly #cache = new LRUCache<string, Cached>({ max: cacheEntries });
  /** Look-ups that the name servers are asked for, by name: any group shares them. */
  readonly #asked = new Map<string, Promise<readonly ResolvedAddress[]>>();
  /** Look-ups that wait for a slot, by group and name: no group waits for the turn of another. */
  readonly #waiting = new Map<string, Promise<readonly ResolvedAddress[]>>();
  readonly #slots = new FairSlots(slotLimits);
  readonly #monotonicMs: () => number;
  #stragglers = 0;

  constructor(options: NameServersOptions) {
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.#nameServers = new NameServers(options);
  }

  /**
   * The addresses of the name, taken as absolute; rejects with `DnsFailure`, within 10 s. Of a name whose A or AAAA records
   * keep the look-up waiting, the others. `group`: on whose behalf; at most 4 of a group's look-ups run at once.
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

  /** Fails what is being asked and what waits. */
  close(): void {
    this.#nameServers.close();
  }

  async #lookUpInTurn(name: string, group: string): Promise<readonly ResolvedAddress[]> {
    const release = await this.#slots.acquire(group).catch((error: unknown) => {
      // Nothing was asked: the fault is this process's queue, and not the name's.
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

  /** The answer that is cached or on its way; `null` if the name servers have to be asked. */
  #known(name: string): Promise<readonly ResolvedAddress[]> | null {
    const cached = this.#cache.peek(name);
    if (cached !== undefined && cached.untilMonotonicMs > this.#monotonicMs()) return Promise.resolve(cached.addresses);
    return this.#asked.get(name) ?? null;
  }

  /** Gives its slot up with the addresses, so that a server that swallows questions does not keep it. */
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
      // What came late completes the answer that was used before it.
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
