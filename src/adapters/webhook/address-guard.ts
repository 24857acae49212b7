import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { isHostName, isPublicAddress, parseAllowList, translateNat64 } from "../../domain/webhooks/address.ts";
import type { AllowList } from "../../domain/webhooks/address.ts";
import type { AddressGuard } from "../../ports/webhook-sender.ts";
import { NameResolver } from "../http-client/name-resolver.ts";
import type { ResolvedAddress } from "../http-client/name-resolver.ts";

export type AddressGuardConfig = {
  /** Exact host names, addresses and CIDRs. */
  readonly allow: readonly string[];
  readonly allowHttp: boolean;
  /** Ports that are allowed for hosts and addresses without an entry of their own. */
  readonly ports: readonly number[];
  /** Addresses of name servers with an optional port. An empty list means the servers of the system. */
  readonly dnsServers: readonly string[];
  /** Public address of this service; the guard refuses it. `null` if it is unknown. */
  readonly publicUrl: string | null;
  /** Returns the ports that this process listens on. Called at each check, because the start may choose them. */
  readonly ownPorts: () => readonly number[];
};

const internalName = /(?:^|\.)(?:localhost|local|internal|flycast)$/;
const ownAddress = "is this service's own address";
const registrationBudgetMs = 1000;
const knownNames = 10_000;

/**
 * Decides which addresses may be dialled, by three checks: of the host as it is written (a literal address needs no
 * look-up), of every address that a name resolves to (one forbidden address refuses the name), and of the peer of the
 * connected socket. The checked address itself is dialled, so that a second answer of the name servers cannot replace it.
 * An address with the NAT64 prefix counts as its IPv4 address.
 */
export class WebhookAddressGuard implements AddressGuard {
  readonly resolver: NameResolver;
  readonly #config: AddressGuardConfig;
  readonly #allowList: AllowList;
  readonly #publicUrl: { readonly host: string; readonly port: number } | null;
  readonly #checkedNames = new Set<string>();

  constructor(config: AddressGuardConfig) {
    const parsed = parseAllowList(config.allow);
    if (parsed.kind === "invalid") throw new Error(`CALLBACK_ALLOW: ${parsed.entry} ${parsed.detail}`);
    this.#config = config;
    this.#allowList = parsed.allowList;
    const publicUrl = config.publicUrl === null ? null : new URL(config.publicUrl);
    this.#publicUrl = publicUrl === null ? null : { host: translateNat64(hostOf(publicUrl.hostname)), port: portOf(publicUrl) };
    this.resolver = new NameResolver({ servers: config.dnsServers });
  }

  checkUrl(url: URL): { readonly reason: string } | null {
    const reason = this.refusalOfProtocol(url.protocol) ?? this.refusalOfHost(url.hostname, portOf(url));
    return reason === null ? null : { reason };
  }

  async checkName(url: URL, accountId?: string): Promise<{ readonly reason: string } | null> {
    const host = hostOf(url.hostname);
    if (isIP(host) !== 0 || this.#checkedNames.has(host)) return null;
    const deadline = Promise.withResolvers<null>();
    const timer = setTimeout(() => deadline.resolve(null), registrationBudgetMs);
    try {
      // A name without an answer is accepted and not looked up again here, because each delivery checks it.
      const addresses = await Promise.race([this.resolve(host, accountId).catch(() => null), deadline.promise]);
      const reason = addresses === null ? null : this.refusalOfAddresses(host, portOf(url), addresses);
      if (reason !== null) return { reason };
      if (this.#checkedNames.size >= knownNames) this.#checkedNames.clear();
      this.#checkedNames.add(host);
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  refusalOfProtocol(protocol: string): string | null {
    return protocol === "https:" || (protocol === "http:" && this.#config.allowHttp) ? null : "is not https";
  }

  /** Returns why a host is refused as it is written; `null` if it is allowed as far as known without its addresses. */
  refusalOfHost(hostname: string, port: number): string | null {
    const host = translateNat64(hostOf(hostname));
    if (isIP(host) !== 0)
      return this.#refusalOfPublicUrl(host, port, this.#allowList.hasAddress(host)) ?? this.refusalOfAddress(host, port, false);
    const allowed = this.#allowList.hasHost(host);
    const own = this.#refusalOfPublicUrl(host, port, allowed);
    if (own !== null || allowed) return own;
    if (!host.includes(".")) return "has a host name without a dot";
    if (!isHostName(host)) return "has a host that is not a host name";
    if (internalName.test(host)) return "has a host name of an internal kind";
    return this.#refusalOfPort(port);
  }

  /**
   * Returns why an address is refused; `null` if it is allowed. `named`: the address comes from a name, so that its port is
   * checked even if the allow list has the address.
   */
  refusalOfAddress(address: string, port: number, named: boolean): string | null {
    if (this.#isOwnSocket(address, port)) return ownAddress;
    const allowed = this.#allowList.hasAddress(address);
    if (!allowed && !isPublicAddress(address)) return "has an address that is not public";
    return allowed && !named ? null : this.#refusalOfPort(port);
  }

  /** Returns why a host name is refused; `null` if it may be dialled. One forbidden address refuses it, unless the allow list names the host. */
  refusalOfAddresses(hostname: string, port: number, addresses: readonly ResolvedAddress[]): string | null {
    const byName = this.#allowList.hasHost(hostOf(hostname));
    for (const { address } of addresses) {
      if (this.#isOwnSocket(address, port)) return ownAddress;
      if (!byName && this.refusalOfAddress(address, port, true) !== null)
        return "has a host name that resolves to an address that is not public";
    }
    return null;
  }

  /** Resolves with the addresses of a name. Rejects with `DnsFailure`. The look-up takes a turn of `group`. */
  resolve(hostname: string, group: string = hostname): Promise<readonly ResolvedAddress[]> {
    const host = hostOf(hostname);
    return this.#allowList.hasHost(host) ? this.resolver.resolveBySystem(host) : this.resolver.resolve(host, group);
  }

  /**
   * Returns a refusal if the host is that of the public URL. If the allow list has the host, only the ports of this service
   * are refused.
   */
  #refusalOfPublicUrl(host: string, port: number, allowed: boolean): string | null {
    const own = this.#publicUrl;
    return own !== null && own.host === host && (!allowed || own.port === port || this.#config.ownPorts().includes(port))
      ? ownAddress
      : null;
  }

  #isOwnSocket(address: string, port: number): boolean {
    return this.#config.ownPorts().includes(port) && isOwnAddress(translateNat64(address));
  }

  #refusalOfPort(port: number): string | null {
    return this.#config.ports.includes(port) ? null : `has port ${port}; allowed are ${this.#config.ports.join(", ")}`;
  }
}

/** Returns the host in lower case, without brackets and without a trailing dot. */
function hostOf(hostname: string): string {
  return hostname
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "")
    .toLowerCase();
}

function portOf(url: URL): number {
  return url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
}

/** Whether it is a loopback address, an unspecified one (which reaches loopback too) or one of this machine's interfaces. */
function isOwnAddress(address: string): boolean {
  if (address.startsWith("127.") || address === "0.0.0.0" || address === "::1" || address === "::") return true;
  return Object.values(networkInterfaces()).some((entries) => entries?.some((entry) => entry.address === address) === true);
}
