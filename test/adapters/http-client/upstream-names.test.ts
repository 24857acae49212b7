import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { NameResolver } from "../../../src/adapters/http-client/name-resolver.ts";
import { SystemFile } from "../../../src/adapters/http-client/system-file.ts";
import { UpstreamNames } from "../../../src/adapters/http-client/upstream-names.ts";
import { startNameServer } from "../../harness/receivers/name-server.ts";
import type { Zone } from "../../harness/receivers/name-server.ts";

async function startNames(zone: Zone, hosts: string, resolvConf = "") {
  const folder = mkdtempSync(join(tmpdir(), "names-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const paths = { hosts: join(folder, "hosts"), resolvConf: join(folder, "resolv.conf") };
  writeFileSync(paths.hosts, hosts);
  writeFileSync(paths.resolvConf, resolvConf);
  const time = { nowMs: 0 };
  const file = (path: string) => new SystemFile(path, () => time.nowMs);
  const server = await startNameServer(zone);
  const names = new UpstreamNames({
    servers: [],
    resolver: new NameResolver({ servers: [server.address] }),
    hostsFile: file(paths.hosts),
    systemFile: file(paths.resolvConf),
  });
  onTestFinished(() => names.close());
  return { names, server, time, paths };
}

const addressesOf = async (names: UpstreamNames, name: string) => (await names.resolve(name)).map(({ address }) => address);

describe("the hosts file", () => {
  const hosts = `
# 10.0.0.9 commented.example
10.0.0.1\tUpstream.example  alias # trailing.example
fd00::1 upstream.example.
not-an-address broken.example
127.0.0.1 localhost
10.0.0.2`;

  test.each([
    ["upstream.example", ["10.0.0.1", "fd00::1"]],
    ["UPSTREAM.example.", ["10.0.0.1", "fd00::1"]],
    ["alias", ["10.0.0.1"]],
    ["localhost", ["127.0.0.1"]],
  ])("knows %s, and no server is asked", async (name, expected) => {
    const { names, server } = await startNames(() => ["9.9.9.9"], hosts);
    expect(await addressesOf(names, name)).toEqual(expected);
    expect(server.asked).toEqual([]);
  });

  test.each(["commented.example", "trailing.example", "broken.example", "example", "other.example"])("does not know %s", async (name) => {
    const { names } = await startNames(() => ["9.9.9.9"], hosts);
    expect(await addressesOf(names, name)).toEqual(["9.9.9.9"]);
  });

  test("that changes is read again within a second", async () => {
    const { names, time, paths } = await startNames(() => null, "10.0.0.1 upstream.example\n");
    expect(await addressesOf(names, "upstream.example")).toEqual(["10.0.0.1"]);
    writeFileSync(paths.hosts, "10.0.0.22 upstream.example\n");
    time.nowMs = 1000;
    expect(await addressesOf(names, "upstream.example")).toEqual(["10.0.0.22"]);
    rmSync(paths.hosts);
    time.nowMs = 2000;
    await expect(names.resolve("upstream.example")).rejects.toMatchObject({ name: "DnsFailure", code: "ENOTFOUND" });
  });

  test("need not name localhost", async () => {
    const { names, server } = await startNames(() => null, "");
    expect(await addressesOf(names, "localhost")).toEqual(["127.0.0.1", "::1"]);
    expect(await addressesOf(names, "simulator.localhost.")).toEqual(["127.0.0.1", "::1"]);
    expect(server.asked).toEqual([]);
  });
});

describe("the search list", () => {
  const kubernetes = "nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5 timeout:1\n";

  test("of Kubernetes: with fewer dots than ndots the list comes first", async () => {
    const { names, server } = await startNames((name) => (name === "proxy.dev.svc.cluster.local" ? ["10.1.1.1"] : null), "", kubernetes);
    expect(await addressesOf(names, "proxy.dev")).toEqual(["10.1.1.1"]);
    expect(server.asked).toEqual(["proxy.dev.ns.svc.cluster.local", "proxy.dev.svc.cluster.local"]);
  });

  test("comes last for a name with enough dots, and after it for none that exists", async () => {
    const { names, server } = await startNames((name) => (name === "api.us.poly.ai" ? ["1.1.1.1"] : null), "", "search lan\n");
    expect(await addressesOf(names, "api.us.poly.ai")).toEqual(["1.1.1.1"]);
    expect(server.asked).toEqual(["api.us.poly.ai"]);
    await expect(names.resolve("upstream")).rejects.toMatchObject({ code: "ENOTFOUND" });
    expect(server.asked.slice(1)).toEqual(["upstream.lan", "upstream"]);
  });

  test("is not for a name with a dot at its end", async () => {
    const { names, server } = await startNames(() => ["1.1.1.1"], "", kubernetes);
    await names.resolve("api.us.poly.ai.");
    expect(server.asked).toEqual(["api.us.poly.ai"]);
  });

  test("ends at a name whose servers do not answer", async () => {
    const { names, server } = await startNames((name) => (name === "a.ns.svc.cluster.local" ? "silence" : ["1.1.1.1"]), "", kubernetes);
    await expect(names.resolve("a")).rejects.toMatchObject({ code: "ETIMEOUT" });
    expect(new Set(server.asked)).toEqual(new Set(["a.ns.svc.cluster.local"]));
  });
});

test("a name server that swallows AAAA costs less than a second", async () => {
  const { names } = await startNames((_name, _n, type) => (type === "A" ? ["1.1.1.1"] : "silence"), "");
  const startedMs = performance.now();
  expect(await addressesOf(names, "api.us.poly.ai")).toEqual(["1.1.1.1"]);
  expect(performance.now() - startedMs).toBeLessThan(1000);
});
