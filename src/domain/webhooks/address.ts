import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";

/** Refused IPv4 ranges: the IANA special-purpose registry, multicast and class E. */
const refusedIpv4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.31.196.0/24",
  "192.52.193.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "192.175.48.0/24",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  // A platform service of Azure at an address that looks public.
  "168.63.129.16/32",
];

/**
 * Global unicast is the only public range of IPv6: loopback, unique-local, link-local, multicast and the mapped and
 * compatible embeddings of IPv4 lie outside it. The ranges in `refusedIpv6` lie inside it and are not public: Teredo and
 * 6to4 embed IPv4 addresses that no check has seen, the others are for protocols and documentation.
 */
const globalUnicast = ["2000::/3"];
const refusedIpv6 = ["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"];

/**
 * Loopback (which the unspecified addresses reach too), link-local and metadata ranges. An entry of the allow list opens
 * such a range only if the entry lies wholly inside it.
 */
const guardedRanges = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "168.63.129.16/32",
  "100.100.100.200/32",
  "192.0.0.192/32",
  "::/128",
  "::1/128",
  "fe80::/10",
  "fd00:ec2::/32",
  "fd00:42::42/128",
  "fd00:c1::a9fe:a9fe/128",
  "fd20:ce::254/128",
];

/**
 * Ranges of IPv6 that embed IPv4. No entry of the allow list opens such an address, because the entry does not cover the
 * route through the tunnel.
 */
const embeddings = ["::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"];

type Family = "ipv4" | "ipv6";

/**
 * Ranges of addresses, with a list for each family. A common `BlockList` would match an IPv4 address, read as a mapped one,
 * against `::/0`.
 */
class AddressRanges {
  readonly #lists = { ipv4: new BlockList(), ipv6: new BlockList() };

  constructor(ranges: readonly string[] = []) {
    for (const range of ranges) {
      const [address = "", prefix] = range.split("/");
      this.add(address, Number(prefix));
    }
  }

  add(address: string, prefix: number): void {
    this.#lists[familyOf(address)].addSubnet(address, prefix, familyOf(address));
  }

  has(address: string): boolean {
    const family = familyOf(address);
    return this.#lists[family].check(address, family);
  }
}

const refused = new AddressRanges([...refusedIpv4, ...refusedIpv6]);
const globalIpv6 = new AddressRanges(globalUnicast);
const guarded = new AddressRanges(guardedRanges);
const embedded = new AddressRanges(embeddings);
/** ISATAP (RFC 5214 §6.1): the lower half is 0000:5efe or 0200:5efe and an IPv4 address. The upper half may be any. */
const isatap = new AddressRanges(["::5efe:0:0/96", "::200:5efe:0:0/96"]);
const nat64 = new AddressRanges(["64:ff9b::/96"]);

/**
 * Returns the IPv4 address that a NAT64 gateway dials for an address in the well-known prefix 64:ff9b::/96 (RFC 6052 §2.1),
 * and any other text unchanged. DNS64 resolvers put such addresses beside or in place of A records (RFC 6147). Prefixes of
 * local use (RFC 8215) stay as they are, because only the network knows their layout.
 */
export function translateNat64(address: string): string {
  if (!isPlainIpv6(address) || !nat64.has(address)) return address;
  const [high = 0, low = 0] = groupsOf(address).slice(6);
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join(".");
}

/**
 * Returns whether an address (as the WHATWG parser or a name server writes it, without brackets) is public unicast. Only
 * listed IPv6 ranges are public. A NAT64 address is public if its IPv4 address is.
 */
export function isPublicAddress(address: string): boolean {
  const target = translateNat64(address);
  if (isIPv4(target)) return !refused.has(target);
  return isPlainIpv6(target) && globalIpv6.has(target) && !refused.has(target) && !embedsIpv4(target);
}

/** Hosts and addresses that the operator allows: exact host names, addresses and CIDRs. */
export type AllowList = {
  /** `hostname` in lower case, without a trailing dot. */
  hasHost(hostname: string): boolean;
  /** A NAT64 address is in the list if its IPv4 address is. */
  hasAddress(address: string): boolean;
};

export type ParsedAllowList =
  | { readonly kind: "allow-list"; readonly allowList: AllowList }
  | { readonly kind: "invalid"; readonly entry: string; readonly detail: string };

const hostName = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** Returns whether `text` is a host name that a name server can resolve. `text` is in lower case, without a trailing dot. */
export function isHostName(text: string): boolean {
  return hostName.test(text);
}

/** Returns whether a URL parser reads a host name as an IPv4 address, so that no such name can be resolved. */
function endsInNumber(name: string): boolean {
  return /(?:^|\.)(?:\d+|0x[0-9a-f]*)\.?$/i.test(name);
}

/** Returns whether `text` is an address, without brackets, or a host name: something that a server can listen on. */
export function isListenHost(text: string): boolean {
  return isIP(text) !== 0 || (isHostName(text.toLowerCase()) && !endsInNumber(text));
}

/** Returns a host as the URL standard writes it, without a trailing dot; `null` if the text is no host alone. */
export function parseUrlHost(text: string): string | null {
  if (!/^(?:\[[0-9a-f:.]+\]|[^:/?#@\\[\]\s]+)$/i.test(text)) return null;
  const hostname = URL.parse(`http://${text}`)?.hostname.replace(/\.$/, "") ?? "";
  return isHostName(hostname) || hostname.startsWith("[") ? hostname : null;
}

/**
 * Reads the operator's entries. An address opens itself, a CIDR opens its addresses. An entry opens loopback, link-local
 * and metadata ranges only if it lies wholly inside them, so that 0.0.0.0/0 opens none of them. No entry opens IPv4 inside
 * IPv6; an IPv4 entry opens its NAT64 addresses too.
 */
export function parseAllowList(entries: readonly string[]): ParsedAllowList {
  const hosts = new Set<string>();
  const open = new AddressRanges();
  const openGuarded = new AddressRanges();
  for (const entry of entries) {
    const parsed = parseEntry(entry);
    switch (parsed.kind) {
      case "invalid":
        return { kind: "invalid", entry, detail: parsed.detail };
      case "host":
        hosts.add(parsed.host);
        break;
      case "range":
        (guardedRanges.some((range) => liesInside(parsed, range)) ? openGuarded : open).add(parsed.address, parsed.prefix);
        break;
    }
  }
  return {
    kind: "allow-list",
    allowList: {
      hasHost: (hostname) => hosts.has(hostname),
      hasAddress(address) {
        const target = translateNat64(address);
        if (!isIPv4(target) && (!isPlainIpv6(target) || (embedsIpv4(target) && !guarded.has(target)))) return false;
        return openGuarded.has(target) || (!guarded.has(target) && open.has(target));
      },
    },
  };
}

type Range = { readonly address: string; readonly prefix: number };
type Entry =
  | ({ readonly kind: "range" } & Range)
  | { readonly kind: "host"; readonly host: string }
  | { readonly kind: "invalid"; readonly detail: string };

function parseEntry(entry: string): Entry {
  const bare = /^\[(.*)\](\/.*)?$/.exec(entry);
  const text = bare === null ? entry : `${bare[1]}${bare[2] ?? ""}`;
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  if (isIP(address) === 0) return bare === null ? parseHost(entry) : invalid("is not an IPv6 address");
  if (!isIPv4(address) && !isPlainIpv6(address)) return invalid("has a zone; write the address without it");
  const bits = isIPv4(address) ? 32 : 128;
  const prefix = slash < 0 ? bits : /^\d{1,3}$/.test(text.slice(slash + 1)) ? Number(text.slice(slash + 1)) : Number.NaN;
  if (!(prefix <= bits)) return invalid(`has a prefix that is not 0 to ${bits}`);
  if (bits === 128 && prefix >= 96 && embedsIpv4(address) && !guarded.has(address))
    return invalid("is an IPv4 address inside an IPv6 one; write the IPv4 address");
  return { kind: "range", address, prefix };
}

function parseHost(entry: string): Entry {
  const host = domainToASCII(entry).replace(/\.$/, "");
  if (entry.includes("/") || !isHostName(host) || endsInNumber(entry))
    return invalid("is neither a host name, an address in its usual spelling nor a CIDR");
  return { kind: "host", host };
}

function invalid(detail: string): Entry {
  return { kind: "invalid", detail };
}

function liesInside({ address, prefix }: Range, range: string): boolean {
  return prefix >= Number(range.split("/")[1]) && new AddressRanges([range]).has(address);
}

function embedsIpv4(address: string): boolean {
  if (!isIPv6(address)) return false;
  const lowerHalf = groupsOf(address).slice(4);
  return embedded.has(address) || isatap.has(`::${lowerHalf.map((group) => group.toString(16)).join(":")}`);
}

/** Returns the eight groups of an IPv6 address. */
function groupsOf(address: string): readonly number[] {
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const headGroups = head === "" ? [] : head.split(":");
  const tailGroups = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = Array<string>(8 - headGroups.length - tailGroups.length).fill("0");
  return [...headGroups, ...gap, ...tailGroups].map((group) => Number.parseInt(group, 16));
}

function isPlainIpv6(address: string): boolean {
  return isIPv6(address) && !address.includes("%");
}

function familyOf(address: string): Family {
  return isIPv4(address) ? "ipv4" : "ipv6";
}
