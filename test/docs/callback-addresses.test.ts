import { expect, test } from "vitest";
import { WebhookAddressGuard } from "../../src/adapters/webhook/address-guard.ts";
import { readConfig } from "../../src/service/config.ts";
import { readDocument } from "./documents.ts";

// Setup: the section on callback addresses of the operators' guide, and the guard as the service makes it. What this proves:
// each entry that the section names is read as it says, so that operators can copy it.

const section = /^## Callback addresses$[\s\S]*?(?=^## )/m.exec(readDocument("src/http/docs/guides/operators.md"))?.[0] ?? "";
const codeIn = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
const rows = [...section.matchAll(/^\| (an? .+?) \| (`.+?) \| .+ \|$/gm)];
const examplesOf = (kind: string) => codeIn(rows.find(([, name]) => name === kind)?.[2] ?? "");

function faultsOf(allow: string): readonly string[] {
  const config = readConfig({ RINGBACK_API_KEY: "try-ringback-locally-0001", CALLBACK_ALLOW: allow });
  return config.kind === "invalid" ? config.faults : [];
}

/** Returns what the guard says of a URL under these entries; `null` if it may be dialled. */
function refusalOf(url: string, ...allow: readonly string[]): string | null {
  const guard = new WebhookAddressGuard({ allow, allowHttp: false, ports: [443], dnsServers: [], publicUrl: null, ownPorts: () => [] });
  return guard.checkUrl(new URL(url))?.reason ?? null;
}

/** The same for addresses that a name resolves to. */
function refusalOfAnswer(address: string, port: number, ...allow: readonly string[]): string | null {
  const guard = new WebhookAddressGuard({ allow, allowHttp: false, ports: [443], dnsServers: [], publicUrl: null, ownPorts: () => [] });
  return guard.refusalOfAddresses("crm.example.com", port, [{ address, family: address.includes(":") ? 6 : 4 }]);
}

test("every entry of the table is accepted, one by one and as a list", () => {
  const entries = rows.flatMap(([, , examples = ""]) => codeIn(examples));
  expect(entries).toHaveLength(9);
  for (const entry of [...entries, entries.join(", ")]) expect([entry, faultsOf(entry)]).toEqual([entry, []]);
});

test("every entry of the list of refusals is refused", () => {
  const refused = codeIn(/^- Refused at the start, with exit code 78: ([\s\S]*?)\.$/m.exec(section)?.[1] ?? "");
  expect(refused.length).toBeGreaterThan(10);
  for (const entry of refused) expect([entry, faultsOf(entry)]).toEqual([entry, [expect.stringContaining("CALLBACK_ALLOW: ")]]);
});

test("an address and a range open any port in a URL, and the allowed ports behind a name", () => {
  for (const entry of [...examplesOf("an address"), ...examplesOf("a CIDR range")]) {
    const address = entry
      .replace(/^\[(.*)\]/, "$1")
      .replace("0.0/16", "2.3")
      .replace("::/8", "::1")
      .replace(/\/.*/, "");
    const url = `https://${address.includes(":") ? `[${address}]` : address}:8443/`;
    expect([entry, refusalOf(url), refusalOf(url, entry)]).toEqual([entry, expect.any(String), null]);
    expect([entry, refusalOfAnswer(address, 443, entry)]).toEqual([entry, null]);
    expect([entry, refusalOfAnswer(address, 8443, entry)]).toEqual([entry, expect.any(String)]);
  }
});

test("a host name opens itself on any port, without its subdomains", () => {
  for (const entry of examplesOf("a host name")) {
    expect([entry, refusalOf(`https://${entry.toUpperCase()}:8443/`, entry)]).toEqual([entry, null]);
    expect([entry, refusalOf(`https://sub.${entry}:8443/`, entry)]).toEqual([entry, expect.any(String)]);
  }
});

test("loopback needs an entry inside its range", () => {
  expect(section).toContain("`127.0.0.1/32` opens this machine, and `0.0.0.0/0` does not");
  expect([refusalOf("https://127.0.0.1/", "127.0.0.1/32"), refusalOf("https://10.0.0.1/", "0.0.0.0/0")]).toEqual([null, null]);
  expect(refusalOf("https://127.0.0.1/", "0.0.0.0/0")).not.toBeNull();
});

test("NAT64 addresses are judged as the section says", () => {
  expect(section).toContain("**NAT64.**");
  expect(refusalOf("https://[64:ff9b::8.8.8.8]/")).toBeNull();
  expect(refusalOf("https://[64:ff9b::10.1.2.3]/")).not.toBeNull();
  expect(refusalOf("https://[64:ff9b::10.1.2.3]/", "10.1.2.3")).toBeNull();
  for (const allow of [[], ["8.8.8.8"], ["64:ff9b:1::/48"], ["::/0"]])
    expect([allow, refusalOf("https://[64:ff9b:1::8.8.8.8]/", ...allow)]).toEqual([allow, expect.any(String)]);
  // A prefix that only its network knows is an address like any other.
  expect(refusalOf("https://[2a00:1234:64::10.1.2.3]/")).toBeNull();
});
