import { Resolver } from "node:dns/promises";
import { DnsFailure, dnsFailureOf } from "./dns-failure.ts";
import { SystemFile } from "./system-file.ts";

export type AddressRecord = { readonly address: string; readonly family: 4 | 6; readonly ttlSeconds: number };

export type NameServersOptions = {
  /** Addresses of name servers with an optional port. An empty list means the servers of the system. */
  readonly servers: readonly string[];
  readonly monotonicMs?: () => number;
  /** Where the system names its servers. */
  readonly systemFile?: SystemFile;
  /** Creates a resolver of the system's servers. A resolver reads the configuration of the system only when it is created. */
  readonly createResolver?: () => Resolver;
};

const queryLimits = { timeout: 2000, tries: 2 };
const renewAfterMs = 10_000;
/** Codes of an answer of the server: the name does not exist, or has no such record. */
const answerCodes = new Set(["ENOTFOUND", "ENODATA"]);

/**
 * Asks the name servers through c-ares, which does not read the hosts file. Replaces the resolver when the configuration of
 * the system has changed. Also replaces it when all questions of 10 s have failed, because its sockets may be bound to an
 * address that the machine has lost. Questions to the replaced resolver run on.
 */
export class NameServers {
  readonly #options: NameServersOptions;
  readonly #monotonicMs: () => number;
  readonly #systemFile: SystemFile;
  readonly #running = new Map<Resolver, number>();
  #resolver: Resolver;
  #mark: string;
  /** Time of the resolver's last answer, or of its creation. */
  #goodAtMs: number;
  #isClosed = false;

  constructor(options: NameServersOptions) {
    this.#options = options;
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.#systemFile = options.systemFile ?? new SystemFile("/etc/resolv.conf", this.#monotonicMs);
    this.#mark = this.#systemFile.mark;
    this.#goodAtMs = this.#monotonicMs();
    this.#resolver = this.#create();
  }

  /** Resolves with the A (4) or AAAA (6) records of a name, which is taken as absolute. Rejects with `DnsFailure`. */
  async ask(name: string, family: 4 | 6): Promise<readonly AddressRecord[]> {
    if (this.#isClosed) throw new DnsFailure("ECANCELLED");
    this.#followSystem();
    const resolver = this.#resolver;
    this.#running.set(resolver, (this.#running.get(resolver) ?? 0) + 1);
    try {
      const records = await (family === 4 ? resolver.resolve4(name, { ttl: true }) : resolver.resolve6(name, { ttl: true }));
      this.#noteAnswer(resolver);
      return records.map(({ address, ttl }) => ({ address, family, ttlSeconds: ttl }));
    } catch (error) {
      const failure = dnsFailureOf(error);
      if (answerCodes.has(failure.code)) this.#noteAnswer(resolver);
      else this.#noteFailure(resolver);
      throw failure;
    } finally {
      this.#end(resolver);
    }
  }

  /** Counts a question as failed because the caller gave it up; the resolver may still wait for its answer. */
  noteTimeout(): void {
    this.#noteFailure(this.#resolver);
  }

  /** Fails every running question. */
  close(): void {
    this.#isClosed = true;
    for (const resolver of this.#running.keys()) resolver.cancel();
  }

  #create(): Resolver {
    const { servers, createResolver } = this.#options;
    if (servers.length === 0 && createResolver !== undefined) return createResolver();
    const resolver = new Resolver(queryLimits);
    if (servers.length > 0) resolver.setServers(servers);
    return resolver;
  }

  #renew(): void {
    this.#resolver = this.#create();
    this.#goodAtMs = this.#monotonicMs();
  }

  #followSystem(): void {
    if (this.#options.servers.length > 0) return;
    const { mark } = this.#systemFile;
    if (mark === this.#mark) return;
    this.#mark = mark;
    this.#renew();
  }

  #noteAnswer(resolver: Resolver): void {
    if (resolver === this.#resolver) this.#goodAtMs = this.#monotonicMs();
  }

  #noteFailure(resolver: Resolver): void {
    if (this.#isClosed || resolver !== this.#resolver) return;
    if (this.#monotonicMs() - this.#goodAtMs >= renewAfterMs) this.#renew();
  }

  #end(resolver: Resolver): void {
    const left = (this.#running.get(resolver) ?? 1) - 1;
    if (left === 0) this.#running.delete(resolver);
    else this.#running.set(resolver, left);
  }
}
