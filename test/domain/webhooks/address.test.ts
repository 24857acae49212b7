import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isPublicAddress, parseAllowList } from "../../../src/domain/webhooks/address.ts";
import type { AllowList } from "../../../src/domain/webhooks/address.ts";

const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
const groupOf = (high: number, low: number): string => (high * 256 + low).toString(16);

/** Every way in which an IPv4 address can lie inside an IPv6 one. */
function embeddingsOf([a, b, c, d]: readonly [number, number, number, number]): readonly string[] {
  const [high, low] = [groupOf(a, b), groupOf(c, d)];
  return [
    `::ffff:${high}:${low}`,
    `::${high}:${low}`,
    `::ffff:0:${high}:${low}`,
    `64:ff9b::${high}:${low}`,
    `64:ff9b:1::${high}:${low}`,
    `2002:${high}:${low}::1`,
    `2001:0:4136:e378:8000:63bf:${groupOf(255 - a, 255 - b)}:${groupOf(255 - c, 255 - d)}`,
    `2a00:1450::5efe:${high}:${low}`,
    `2a00:1450:0:1:200:5efe:${high}:${low}`,
  ];
}

function allowing(...entries: readonly string[]): AllowList {
  const parsed = parseAllowList(entries);
  if (parsed.kind === "invalid") throw new Error(`${parsed.entry} ${parsed.detail}`);
  return parsed.allowList;
}

describe("a public address", () => {
  test("no embedding of an IPv4 address is judged more gently than the address", () => {
    fc.assert(
      fc.property(octets, (address) => {
        const isPublic = isPublicAddress(address.join("."));
        for (const embedded of embeddingsOf(address)) expect(isPublicAddress(embedded) && !isPublic).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  test("every spelling a URL may have of an IPv4 address is judged like the address", () => {
    fc.assert(
      fc.property(octets, ([a, b, c, d]) => {
        const value = ((a * 256 + b) * 256 + c) * 256 + d;
        const spellings = [
          String(value),
          `0x${value.toString(16)}`,
          `0${value.toString(8)}`,
          `${a}.${(b * 256 + c) * 256 + d}`,
          `${a}.${b}.${c * 256 + d}`,
          `0${a.toString(8)}.0x${b.toString(16)}.${c}.0${d.toString(8)}`,
          `${a}.${b}.${c}.${d}.`,
        ];
        for (const spelling of spellings)
          expect(isPublicAddress(new URL(`http://${spelling}/`).hostname)).toBe(isPublicAddress(`${a}.${b}.${c}.${d}`));
      }),
      { numRuns: 1000 },
    );
  });

  test("behind the well-known NAT64 prefix is the IPv4 address, in every spelling", () => {
    fc.assert(
      fc.property(octets, (address) => {
        const [high, low] = [groupOf(address[0], address[1]), groupOf(address[2], address[3])];
        const isPublic = isPublicAddress(address.join("."));
        const spellings = [`64:ff9b::${high}:${low}`, `64:FF9B:0:0:0:0:${high}:${low}`, `0064:ff9b::${address.join(".")}`];
        for (const spelling of spellings) expect(isPublicAddress(spelling)).toBe(isPublic);
        expect(isPublicAddress(`64:ff9b::${high}:${low}%eth0`)).toBe(false);
        // One bit beyond the /96, and the local-use prefix (RFC 8215).
        for (const other of [`64:ff9b::1:${high}:${low}`, `64:ff9b:1::${high}:${low}`, `64:ff9c::${high}:${low}`])
          expect(isPublicAddress(other)).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  test("outside 2000::/3 and NAT64 there is none", () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        if (new URL(`http://[${address}]/`).hostname.startsWith("[64:ff9b::")) return;
        const first = Number.parseInt(new URL(`http://[${address}]/`).hostname.slice(1).split(":")[0] || "0", 16);
        if (first < 0x2000 || first > 0x3fff) expect(isPublicAddress(address)).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  test.each(["", "localhost", "1.2.3", "01.2.3.4", "2606:4700::1%eth0", "[2606:4700::1]", "1.1.1.1 ", "1.1.1.1:80"])(
    "%j is none",
    (text) => {
      expect(isPublicAddress(text)).toBe(false);
    },
  );
});

describe("the allow-list", () => {
  test("an address opens itself and nothing beside it", () => {
    const list = allowing("10.1.2.3", "fd12::7");
    expect(list.hasAddress("10.1.2.3")).toBe(true);
    expect(list.hasAddress("10.1.2.4")).toBe(false);
    expect(list.hasAddress("fd12::7")).toBe(true);
    expect(list.hasAddress("fd12:0:0::7")).toBe(true);
    expect(list.hasAddress("fd12::8")).toBe(false);
  });

  test("a CIDR opens what lies in it, and no name", () => {
    const list = allowing("10.0.0.0/8", "fdaa::/16", "[fd13::]/64");
    expect(["10.0.0.0", "10.255.255.255", "fdaa:1::1", "fd13::ffff"].every((address) => list.hasAddress(address))).toBe(true);
    expect(["9.255.255.255", "11.0.0.0", "fdab::1", "fd13:0:0:1::"].some((address) => list.hasAddress(address))).toBe(false);
    expect(list.hasHost("10.0.0.1")).toBe(false);
  });

  const guarded = [
    "127.0.0.1",
    "0.0.0.0",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "::1",
    "::",
    "fe80::1",
    "fd00:ec2::254",
    "fd20:ce::254",
  ];

  test.each(guarded)("%s is opened by itself, and by no wider entry", (address) => {
    const wide = [
      "0.0.0.0/0",
      "::/0",
      "0.0.0.0/1",
      "128.0.0.0/1",
      "126.0.0.0/7",
      "169.0.0.0/8",
      "100.64.0.0/10",
      "168.0.0.0/6",
      "192.0.0.0/24",
      "fc00::/7",
      "fd00::/8",
      "fd20::/16",
      "::/64",
      "fe00::/8",
    ];
    expect(allowing(...wide).hasAddress(address)).toBe(false);
    expect(allowing(...wide, address).hasAddress(address)).toBe(true);
  });

  test("a guarded range is opened by an entry inside it, as far as the entry goes", () => {
    const list = allowing("127.0.0.0/8", "169.254.10.0/24", "fe80::/64");
    expect(["127.0.0.1", "127.9.9.9", "169.254.10.1", "fe80::5"].every((address) => list.hasAddress(address))).toBe(true);
    expect(["169.254.169.254", "fe80:0:0:1::5", "::1", "0.0.0.0"].some((address) => list.hasAddress(address))).toBe(false);
  });

  test("families are apart: everything IPv6 is nothing IPv4, and the other way round", () => {
    expect(allowing("::/0").hasAddress("10.0.0.1")).toBe(false);
    expect(allowing("0.0.0.0/0").hasAddress("fd12::1")).toBe(false);
    expect(allowing("0.0.0.0/0").hasAddress("10.0.0.1")).toBe(true);
    expect(allowing("::/0").hasAddress("fd12::1")).toBe(true);
  });

  test("an entry opens its IPv4 addresses behind the well-known NAT64 prefix as well, and nothing else does", () => {
    const list = allowing("10.1.0.0/16", "127.0.0.1");
    expect(["64:ff9b::a01:203", "64:ff9b::10.1.2.3", "64:ff9b::7f00:1"].every((address) => list.hasAddress(address))).toBe(true);
    expect(["64:ff9b::a02:203", "64:ff9b::7f00:2", "64:ff9b:1::a01:203"].some((address) => list.hasAddress(address))).toBe(false);
    const wide = allowing("::/0", "64:ff9b::/32", "::1", "64:ff9b:1::/40");
    expect(["64:ff9b::a01:203", "64:ff9b::7f00:1"].some((address) => wide.hasAddress(address))).toBe(false);
  });

  test("IPv4 inside IPv6 is never opened in any other way", () => {
    const list = allowing("0.0.0.0/0", "::/0", "127.0.0.0/8", "2000::/3", "64:ff9b::/32", "::1");
    fc.assert(
      fc.property(octets, (address) => {
        for (const embedded of embeddingsOf(address))
          if (!embedded.startsWith("64:ff9b::") && address.slice(0, 3).some((octet) => octet > 0))
            expect(list.hasAddress(embedded)).toBe(false);
      }),
    );
  });

  test("host names are exact, in any case, with or without the last dot", () => {
    const list = allowing("Receiver.LAN.", "localhost", "bücher.example");
    expect(["receiver.lan", "localhost", "xn--bcher-kva.example"].every((host) => list.hasHost(host))).toBe(true);
    expect(["a.receiver.lan", "lan", "receiver", "receiver.lan.evil.com"].some((host) => list.hasHost(host))).toBe(false);
  });

  test.each([
    "",
    "*.example.com",
    "https://example.com",
    "example.com/path",
    "example.com:8080",
    "127.0.0.1:80",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "10.0.0.0/255.0.0.0",
    "fd00::/129",
    "fe80::1%eth0",
    "[10.0.0.1",
    "[receiver.lan]",
    "127.1",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "10.0.0.256",
    "::ffff:127.0.0.1",
    "64:ff9b::/96",
    "64:ff9b::10.0.0.1",
    "64:ff9b::/104",
    "a b",
    "-a.example.com",
    `${"a".repeat(64)}.com`,
  ])("%j is no entry", (entry) => {
    expect(parseAllowList(["10.0.0.1", entry])).toMatchObject({ kind: "invalid", entry });
  });
});
