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
 * Global unicast is all that is public in IPv6: outside it lie loopback, unique-local, link-local, multicast and the mapped,
 * compatible and NAT64 embeddings of IPv4. Inside it, these are not public: Teredo and 6to4 carry IPv4 addresses that nobody
 * has judged, the others are for protocols and documents.
 */
const globalUnicast = ["2000::/3"];
const refusedIpv6 = ["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"];

/** Loopback (which the unspecified addresses reach too), link-local and metadata: opened only by an entry that lies wholly inside one of them. */
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

/** Where IPv4 hides inside IPv6: such an address is never opened, for an entry says nothing about the way through the tunnel. */
const embeddings = ["::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"];

type Family = "ipv4" | "ipv6";

/** Ranges of both families, kept apart: a `BlockList` of both takes an IPv4 address for a mapped one and matches it against `::/0`. */
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

/** Whether an address (as the WHATWG parser or a name server writes it, without brackets) is public unicast. Allow what is public, refuse the rest. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !refused.has(address);
  return isPlainIpv6(address) && globalIpv6.has(address) && !refused.has(address) && !hidesIpv4(address);
}

/** What the operator lets through: exact host names, addresses and CIDRs. */
export type AllowList = {
  /** `hostname` in lower case, without a trailing dot. */
  hasHost(hostname: string): boolean;
  hasAddress(address: string): boolean;
};

export type ParsedAllowList =
  | { readonly kind: "allow-list"; readonly allowList: AllowList }
  | { readonly kind: "invalid"; readonly entry: string; readonly detail: string };

const hostName = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** Whether this could be asked of a name server; in lower case, without a trailing dot. */
export function isHostName(text: string): boolean {
  return hostName.test(text);
}

/**
 * Reads the operator's entries. An address opens itself, a CIDR what lies in it; but loopback, link-local and metadata
 * ranges are opened only by an entry that lies wholly inside them, so that 0.0.0.0/0 opens none of them. IPv4 inside IPv6
 * cannot be opened.
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
        if (!isIPv4(address) && (!isPlainIpv6(address) || (hidesIpv4(address) && !guarded.has(address)))) return false;
        return openGuarded.has(address) || (!guarded.has(address) && open.has(address));
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
  if (bits === 128 && prefix >= 96 && hidesIpv4(address) && !guarded.has(address))
    return invalid("is an IPv4 address inside an IPv6 one, which is never dialled; write the IPv4 address");
  return { kind: "range", address, prefix };
}

function parseHost(entry: string): Entry {
  const host = domainToASCII(entry).replace(/\.$/, "");
  // What a URL would read as an IPv4 address would never be met as a name.
  if (entry.includes("/") || !isHostName(host) || /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/.test(entry.toLowerCase().replace(/\.$/, "")))
    return invalid("is neither a host name, an address in its usual spelling nor a CIDR");
  return { kind: "host", host };
}

function invalid(detail: string): Entry {
  return { kind: "invalid", detail };
}

function liesInside({ address, prefix }: Range, range: string): boolean {
  return prefix >= Number(range.split("/")[1]) && new AddressRanges([range]).has(address);
}

function hidesIpv4(address: string): boolean {
  return isIPv6(address) && (embedded.has(address) || isatap.has(`::${lowerHalfOf(address)}`));
}

/** The last four groups, as text. */
function lowerHalfOf(address: string): string {
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = "", tail] = groups.split("::");
  const headGroups = head === "" ? [] : head.split(":");
  const tailGroups = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : 8 - headGroups.length - tailGroups.length;
  return [...headGroups, ...Array<string>(gap).fill("0"), ...tailGroups].slice(4).join(":");
}

function isPlainIpv6(address: string): boolean {
  return isIPv6(address) && !address.includes("%");
}

function familyOf(address: string): Family {
  return isIPv4(address) ? "ipv4" : "ipv6";
}
