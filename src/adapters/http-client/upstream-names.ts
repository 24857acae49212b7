import { isIP } from "node:net";
import { DnsFailure } from "./dns-failure.ts";
import { NameResolver } from "./name-resolver.ts";
import type { ResolvedAddress } from "./name-resolver.ts";
import { SystemFile } from "./system-file.ts";

export type UpstreamNamesOptions = {
  /** Addresses of name servers. An empty list means the servers of the system. */
  readonly servers: readonly string[];
  readonly resolver?: NameResolver;
  readonly hostsFile?: SystemFile;
  readonly systemFile?: SystemFile;
};

const group = "upstream";
const hostsPath = process.platform === "win32" ? "C:\\Windows\\System32\\drivers\\etc\\hosts" : "/etc/hosts";
const loopback: readonly ResolvedAddress[] = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];
/** Codes of an answer after which the next name of the search list is tried. */
const unknownCodes = new Set(["ENOTFOUND", "ENODATA", "ESERVFAIL"]);
const maxNdots = 15;

/**
 * Resolves the names of upstreams. The operator chooses them and they may be private, so the hosts file comes first, then
 * the name servers with the search list of the system (resolv.conf(5)), as in getaddrinfo. getaddrinfo itself is not used:
 * it waits for both A and AAAA, and serves two names at a time.
 */
export class UpstreamNames {
  readonly #resolver: NameResolver;
  readonly #hostsFile: SystemFile;
  readonly #systemFile: SystemFile;

  constructor(options: UpstreamNamesOptions) {
    this.#systemFile = options.systemFile ?? new SystemFile("/etc/resolv.conf");
    this.#hostsFile = options.hostsFile ?? new SystemFile(hostsPath);
    this.#resolver = options.resolver ?? new NameResolver({ servers: options.servers, systemFile: this.#systemFile });
  }

  /** Resolves with the addresses of a name, which is absolute if it ends in a dot. Rejects with `DnsFailure`. */
  async resolve(hostname: string): Promise<readonly ResolvedAddress[]> {
    const name = hostname.toLowerCase();
    const bare = name.replace(/\.$/, "");
    const listed = this.#addressesInHosts(bare);
    if (listed.length > 0) return listed;
    // RFC 6761 §6.3.
    if (/(?:^|\.)localhost$/.test(bare)) return loopback;
    let failure: unknown = new DnsFailure("ENOTFOUND");
    for (const candidate of name.endsWith(".") ? [bare] : this.#candidatesFor(bare)) {
      try {
        return await this.#resolver.resolve(candidate, group);
      } catch (error) {
        failure = error;
        if (!(error instanceof DnsFailure && unknownCodes.has(error.code))) break;
      }
    }
    throw failure;
  }

  close(): void {
    this.#resolver.close();
  }

  #addressesInHosts(name: string): readonly ResolvedAddress[] {
    return this.#hostsFile.lines.flatMap(([address = "", ...names]) => {
      const family = isIP(address);
      return family !== 0 && names.some((listed) => listed.toLowerCase().replace(/\.$/, "") === name)
        ? [{ address, family: family === 6 ? (6 as const) : (4 as const) }]
        : [];
    });
  }

  /** Returns the names to try. A name with at least `ndots` dots is tried as absolute first, any other name last. */
  #candidatesFor(name: string): readonly string[] {
    let search: readonly string[] = [];
    let ndots = 1;
    for (const [keyword, ...values] of this.#systemFile.lines) {
      // The last of several counts.
      if (keyword === "search" || keyword === "domain") search = values;
      if (keyword === "options") ndots = ndotsIn(values) ?? ndots;
    }
    const searched = search.map((domain) => domain.toLowerCase().replace(/\.$/, "")).filter((domain) => domain !== "");
    const candidates = searched.map((domain) => `${name}.${domain}`);
    return name.split(".").length - 1 >= ndots ? [name, ...candidates] : [...candidates, name];
  }
}

function ndotsIn(values: readonly string[]): number | null {
  const value = values.map((option) => /^ndots:(\d+)$/.exec(option)?.[1]).findLast((digits) => digits !== undefined);
  return value === undefined ? null : Math.min(Number(value), maxNdots);
}
