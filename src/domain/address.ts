import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";

/** Refused IPv4 ranges: everything the IANA special-purpose registry does not call globally reachable, multicast and class E. */
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
  // Platform services of cloud providers at addresses that look public.
  "168.63.129.16/32",
];

/** Global unicast is all that is public in IPv6; inside it, these are not (tunnels carry IPv4 addresses nobody has judged). */
const globalUnicast = "2000::/3";
const refusedIpv6 = ["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"];

/** Opened only by an entry of the allow-list that lies wholly inside one of them. */
const guardedRanges = ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10", "fd00:ec2::/32", "168.63.129.16/32", "100.100.100.200/32"];

const refused = blockListOf([...refusedIpv4, ...refusedIpv6]);
const globalIpv6 = blockListOf([globalUnicast]);

/** Whether an address (as the WHATWG parser or a name server writes it, without brackets) is public unicast. Allow what is public, refuse the rest. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !refused.check(address, "ipv4");
  return isIPv6(address) && !address.includes("%") && globalIpv6.check(address, "ipv6") && !refused.check(address, "ipv6");
}

/** What the operator lets through: exact host names, addresses and CIDRs. */
export type AllowList = {
  hasHost(hostname: string): boolean;
  hasAddress(address: string): boolean;
};

export type ParsedAllowList =
  | { readonly kind: "allow-list"; readonly allowList: AllowList }
  | { readonly kind: "invalid"; readonly entry: string; readonly detail: string };

const hostName = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/;

/**
 * Reads the operator's entries. An address opens itself, a CIDR what lies in it; but loopback, link-local and metadata
 * ranges are opened only by an entry that lies wholly inside them, so that 0.0.0.0/0 opens none of them.
 */
export function parseAllowList(entries: readonly string[]): ParsedAllowList {
  const hosts = new Set<string>();
  const open = new BlockList();
  const openGuarded = new BlockList();
  for (const entry of entries) {
    const lower = entry.toLowerCase().replace(/\.$/, "");
    const [address = "", prefixText] = lower.replaceAll(/[[\]]/g, "").split("/", 2);
    const family = isIP(address);
    if (family === 0) {
      if (prefixText !== undefined || !hostName.test(lower))
        return { kind: "invalid", entry, detail: "is neither a host name, an address nor a CIDR" };
      hosts.add(lower);
      continue;
    }
    const bits = family === 4 ? 32 : 128;
    const prefix = prefixText === undefined ? bits : /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : Number.NaN;
    if (!(prefix <= bits)) return { kind: "invalid", entry, detail: `has a prefix that is not 0 to ${bits}` };
    const type = family === 4 ? "ipv4" : "ipv6";
    const inside = guardedRanges.some((range) => liesInside(address, prefix, type, range));
    (inside ? openGuarded : open).addSubnet(address, prefix, type);
  }
  const guarded = blockListOf(guardedRanges);
  return {
    kind: "allow-list",
    allowList: {
      hasHost: (hostname) => hosts.has(hostname.toLowerCase().replace(/\.$/, "")),
      hasAddress: (text) => {
        const type = isIPv4(text) ? "ipv4" : "ipv6";
        // An IPv4 address inside an IPv6 one is never opened by an entry for the IPv4 address.
        if (type === "ipv6" && (!isIPv6(text) || isMapped(text))) return false;
        return openGuarded.check(text, type) || (!guarded.check(text, type) && open.check(text, type));
      },
    },
  };
}

function liesInside(address: string, prefix: number, type: "ipv4" | "ipv6", range: string): boolean {
  const [, rangePrefix] = range.split("/");
  return prefix >= Number(rangePrefix) && range.includes(":") === (type === "ipv6") && blockListOf([range]).check(address, type);
}

function isMapped(address: string): boolean {
  return mapped.check(address, "ipv6");
}

const mapped = blockListOf(["::ffff:0:0/96"]);

function blockListOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = "", prefix] = range.split("/");
    list.addSubnet(address, Number(prefix), isIPv4(address) ? "ipv4" : "ipv6");
  }
  return list;
}
