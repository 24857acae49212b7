import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { isPublicAddress, parseAllowList } from "../../domain/address.ts";
import type { AllowList } from "../../domain/address.ts";
import type { AddressGuard } from "../../ports/webhook-sender.ts";
import { NameResolver } from "./resolver.ts";
import type { ResolvedAddress } from "./resolver.ts";

export type AddressGuardConfig = {
  readonly allow: readonly string[];
  /** Ports of hosts and addresses that are not themselves allowed. */
  readonly ports: readonly number[];
  readonly dnsServers: readonly string[];
  readonly publicUrl: string | null;
  /** Where this process itself listens; asked at each check, for a port may be chosen at the start. */
  readonly ownPorts: () => readonly number[];
};

/** Nothing was connected. `permanent`: the host itself is refused, whatever its name servers say next time. */
export class BlockedAddress extends Error {
  readonly permanent: boolean;
  constructor(reason: string, permanent: boolean) {
    super(reason);
    this.name = "BlockedAddress";
    this.permanent = permanent;
  }
}

const internalName = /(?:^|\.)(?:localhost|local|internal|flycast)$/;
const registrationBudgetMs = 1000;
const knownNames = 10_000;

/**
 * What may be dialled. Three checks, all of them here: the host as it is written (a literal address never reaches a
 * lookup), every address a name resolves to (one that is forbidden refuses the name), and the peer of the connected
 * socket. What was checked is what is dialled, so that a name cannot answer differently a moment later.
 */
export class WebhookAddressGuard implements AddressGuard {
  readonly resolver: NameResolver;
  readonly #config: AddressGuardConfig;
  readonly #allowList: AllowList;
  readonly #ownHost: string | null;
  readonly #checkedNames = new Set<string>();

  constructor(config: AddressGuardConfig) {
    const parsed = parseAllowList(config.allow);
    if (parsed.kind === "invalid") throw new Error(`CALLBACK_ALLOW: ${parsed.entry} ${parsed.detail}`);
    this.#config = config;
    this.#allowList = parsed.allowList;
    this.#ownHost = config.publicUrl === null ? null : hostOf(new URL(config.publicUrl).hostname);
    this.resolver = new NameResolver(config.dnsServers);
  }

  checkUrl(url: URL): { readonly reason: string } | null {
    const reason = this.refusalOfHost(url.hostname, portOf(url));
    return reason === null ? null : { reason };
  }

  async checkName(url: URL): Promise<{ readonly reason: string } | null> {
    const host = hostOf(url.hostname);
    if (isIP(host) !== 0 || this.#checkedNames.has(host)) return null;
    const deadline = Promise.withResolvers<null>();
    const timer = setTimeout(() => deadline.resolve(null), registrationBudgetMs);
    try {
      const addresses = await Promise.race([this.resolve(host), deadline.promise]);
      if (addresses === null) return null;
      const reason = this.refusalOfAddresses(host, portOf(url), addresses);
      if (reason !== null) return { reason };
      if (this.#checkedNames.size >= knownNames) this.#checkedNames.clear();
      this.#checkedNames.add(host);
      return null;
    } catch {
      // No answer says nothing: delivery asks again.
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Why a host as it is written may not be dialled; null: it may, as far as can be said without its addresses. */
  refusalOfHost(hostname: string, port: number): string | null {
    const host = hostOf(hostname);
    if (isIP(host) !== 0) return this.refusalOfAddress(host, port, false);
    if (host === this.#ownHost) return "is this service's own address";
    if (this.#allowList.hasHost(host)) return null;
    if (!host.includes(".")) return "has a host name without a dot";
    if (internalName.test(host)) return "has a host name of an internal kind";
    return this.#refusalOfPort(port);
  }

  /** `named`: the address came from a name, which an allowed address does not free from the port rule. */
  refusalOfAddress(address: string, port: number, named: boolean): string | null {
    if (this.#config.ownPorts().includes(port) && isOwnAddress(address)) return "is this service's own address";
    const allowed = this.#allowList.hasAddress(address);
    if (!allowed && !isPublicAddress(address)) return "has an address that is not public";
    return allowed && !named ? null : this.#refusalOfPort(port);
  }

  /** One forbidden address refuses the name. A host that is allowed by name may resolve anywhere. */
  refusalOfAddresses(hostname: string, port: number, addresses: readonly ResolvedAddress[]): string | null {
    const byName = this.#allowList.hasHost(hostOf(hostname));
    for (const { address } of addresses) {
      const own = this.#config.ownPorts().includes(port) && isOwnAddress(address);
      if (own) return "is this service's own address";
      const reason = byName ? null : this.refusalOfAddress(address, port, true);
      if (reason !== null) return "has a host name that resolves to an address that is not public";
    }
    return null;
  }

  /** The addresses of a name; rejects with `DnsFailure`. */
  resolve(hostname: string): Promise<readonly ResolvedAddress[]> {
    return this.#allowList.hasHost(hostOf(hostname)) ? this.resolver.resolveBySystem(hostname) : this.resolver.resolve(hostname);
  }

  isAllowedByName(hostname: string): boolean {
    return this.#allowList.hasHost(hostOf(hostname));
  }

  #refusalOfPort(port: number): string | null {
    return this.#config.ports.includes(port) ? null : `has port ${port}; allowed are ${this.#config.ports.join(", ")}`;
  }
}

/** Without brackets, trailing dot or capitals. */
function hostOf(hostname: string): string {
  return hostname
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "")
    .toLowerCase();
}

function portOf(url: URL): number {
  return url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
}

function isOwnAddress(address: string): boolean {
  if (address.startsWith("127.") || address === "::1") return true;
  return Object.values(networkInterfaces()).some((entries) => entries?.some((entry) => entry.address === address) === true);
}
