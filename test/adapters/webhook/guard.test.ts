import { networkInterfaces } from "node:os";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebhookAddressGuard } from "../../../src/adapters/webhook/address-guard.ts";
import type { AddressGuardConfig } from "../../../src/adapters/webhook/address-guard.ts";
import { createWebhookSender } from "../../../src/adapters/webhook/sender.ts";
import type { WebhookSender } from "../../../src/ports/webhook-sender.ts";
import { publicHosts, refusedHosts } from "./address-table.ts";
import { startNameServer } from "../../harness/receivers/name-server.ts";
import { startReceiver, zoo } from "../../harness/receivers/receiver-zoo.ts";

function guardOf(given: Partial<AddressGuardConfig> = {}): WebhookAddressGuard {
  return new WebhookAddressGuard({
    allow: [],
    allowHttp: false,
    ports: [443],
    dnsServers: [],
    publicUrl: null,
    ownPorts: () => [],
    ...given,
  });
}

function startSender(guard: WebhookAddressGuard): WebhookSender {
  const sender = createWebhookSender(guard, { connectTimeoutMs: 5000 });
  onTestFinished(() => sender.close());
  return sender;
}

const reasonFor = (guard: WebhookAddressGuard, url: string): string | null => guard.checkUrl(new URL(url))?.reason ?? null;
const send = async (sender: WebhookSender, url: string) =>
  (await sender.send({ url, method: "POST", headers: {}, body: "{}", timeoutMs: 5000 })).outcome;

const blocked = { kind: "failed", code: "blocked_address" };

describe("the host as it is written", () => {
  describe.each(Object.entries(refusedHosts))("%s", (_, hosts) => {
    test.each(hosts)("%s", (host) => {
      const url = URL.parse(`https://${host}/hook`);
      if (url !== null) expect(guardOf().checkUrl(url)).toEqual({ reason: expect.any(String) });
    });
  });

  test.each(publicHosts)("%s may be called", (host) => {
    expect(guardOf().checkUrl(new URL(`https://${host}/hook`))).toBeNull();
  });

  test.each(["http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "data:text/plain,x"])(
    "%s is refused for its scheme",
    (url) => {
      expect(reasonFor(guardOf({ ports: [443, 80, 21, 70] }), url)).toBe("is not https");
    },
  );

  test.each(["a.example..", "a.example.%2e", ".", "..", "a..example", ".a.example", "receiver.lan.."])("%s has an empty label", (host) => {
    expect(guardOf({ allow: ["receiver.lan"] }).checkUrl(new URL(`https://${host}/`))).toEqual({ reason: expect.any(String) });
  });

  test("http only where it is configured, and no other scheme", () => {
    const guard = guardOf({ allowHttp: true, ports: [443, 80] });
    expect(reasonFor(guard, "http://example.com/")).toBeNull();
    expect(reasonFor(guard, "ftp://example.com:80/")).toBe("is not https");
  });

  test("only the ports of the list", () => {
    const guard = guardOf({ ports: [443, 8443] });
    expect(reasonFor(guard, "https://example.com:8443/")).toBeNull();
    expect(reasonFor(guard, "https://1.1.1.1:22/")).toBe("has port 22; allowed are 443, 8443");
    expect(reasonFor(guard, "https://example.com:25/")).toBe("has port 25; allowed are 443, 8443");
  });
});

describe("this service's own address", () => {
  const own = "is this service's own address";

  test.each(["https://ringback.example.com/", "https://RINGBACK.example.com./x", "https://ringback.example.com:8443/"])("%s", (url) => {
    expect(reasonFor(guardOf({ publicUrl: "https://ringback.example.com/base", ports: [443, 8443] }), url)).toBe(own);
  });

  test("a public URL that is an address", () => {
    expect(reasonFor(guardOf({ publicUrl: "http://1.1.1.1:8080", ports: [443, 8080] }), "https://1.1.1.1:8080/")).toBe(own);
    expect(reasonFor(guardOf({ publicUrl: "http://1.1.1.1:8080", ports: [443, 8080] }), "https://[64:ff9b::101:101]:8080/")).toBe(own);
    expect(reasonFor(guardOf({ publicUrl: "https://[2606:4700::1]/" }), "https://[2606:4700:0::1]/")).toBe(own);
  });

  test("its ports at its addresses, also when they are allowed", () => {
    const address = Object.values(networkInterfaces())
      .flatMap((entries) => entries ?? [])
      .find(({ family, internal }) => family === "IPv4" && !internal);
    const guard = guardOf({
      allow: ["127.0.0.0/8", "::1", "0.0.0.0", ...(address === undefined ? [] : [address.address])],
      ownPorts: () => [8080, 9091],
    });
    for (const host of [
      "127.0.0.1",
      "127.9.9.9",
      "2130706433",
      "[::1]",
      "0.0.0.0",
      "[64:ff9b::7f00:1]",
      "[64:ff9b::127.9.9.9]",
      ...(address === undefined ? [] : [address.address]),
    ]) {
      expect(reasonFor(guard, `https://${host}:8080/`)).toBe(own);
      expect(reasonFor(guard, `https://${host}:9091/`)).toBe(own);
      expect(reasonFor(guard, `https://${host}:9000/`)).toBeNull();
    }
  });

  test("an allowed host that is also the service's: every port but its own", () => {
    const guard = guardOf({ allow: ["localhost"], publicUrl: "http://localhost:8080", ownPorts: () => [8080, 9091] });
    expect(reasonFor(guard, "https://localhost:8080/")).toBe(own);
    expect(reasonFor(guard, "https://localhost:9091/")).toBe(own);
    expect(reasonFor(guard, "https://localhost:9000/")).toBeNull();
  });

  test("a name that resolves to it, also an allowed one", async () => {
    const receiver = await startReceiver(zoo.wellBehaved);
    const guard = guardOf({ allow: ["localhost"], allowHttp: true, ownPorts: () => [receiver.port] });
    expect(await send(startSender(guard), `http://localhost:${receiver.port}/`)).toMatchObject(blocked);
    expect(receiver.connectionCount()).toBe(0);
  });
});

describe("what the operator allows", () => {
  test("an address on any port, a host on any port, and nothing like them", () => {
    const guard = guardOf({ allow: ["10.1.2.3", "receiver.lan", "db"] });
    for (const url of ["https://10.1.2.3:1234/", "https://receiver.lan:99/", "https://RECEIVER.lan./", "https://db:5/"])
      expect(reasonFor(guard, url)).toBeNull();
    for (const url of ["https://10.1.2.4/", "https://a.receiver.lan:99/", "https://receiver/"])
      expect(reasonFor(guard, url)).not.toBeNull();
  });

  test("an allowed host is found through the system's own lookup", async () => {
    const receiver = await startReceiver(zoo.wellBehaved);
    const server = await startNameServer(() => null);
    const guard = guardOf({ allow: ["localhost"], allowHttp: true, dnsServers: [server.address] });
    expect(await send(startSender(guard), `http://localhost:${receiver.port}/`)).toMatchObject({ statusCode: 200 });
    expect(server.asked).toEqual([]);
  });

  test("an allowed range opens no name, but a name may lead into it on a port of the list", async () => {
    const receiver = await startReceiver(zoo.wellBehaved);
    const server = await startNameServer(() => ["127.0.0.1"]);
    const url = `http://crm.example.com:${receiver.port}/`;
    const config = { allow: ["127.0.0.0/8"], allowHttp: true, dnsServers: [server.address] };
    expect(await send(startSender(guardOf({ ...config, ports: [443] })), url)).toMatchObject({ ...blocked, permanent: true });
    expect(await send(startSender(guardOf({ ...config, ports: [receiver.port] })), url)).toMatchObject({ statusCode: 200 });
    expect(reasonFor(guardOf(config), "https://localhost/")).not.toBeNull();
  });

  test("an entry that is none is a fault of the start", () => {
    expect(() => guardOf({ allow: ["*.example.com"] })).toThrow("*.example.com");
  });
});

describe("at the moment of connecting", () => {
  test.each(["http://127.0.0.1", "http://2130706433", "http://[::ffff:127.0.0.1]", "http://localhost", "http://service.internal"])(
    "%s is never dialled, for good",
    async (base) => {
      const receiver = await startReceiver(zoo.wellBehaved);
      const guard = guardOf({ allowHttp: true, ports: [receiver.port] });
      expect(await send(startSender(guard), `${base}:${receiver.port}/`)).toMatchObject({ ...blocked, permanent: true, statusCode: null });
      expect(receiver.connectionCount()).toBe(0);
    },
  );

  test("http is refused once it is no longer configured", async () => {
    const receiver = await startReceiver(zoo.wellBehaved);
    const outcome = await send(startSender(guardOf({ allow: ["127.0.0.1"] })), receiver.url);
    expect(outcome).toMatchObject({ ...blocked, permanent: true, detail: "the URL is not https" });
  });

  test.each([
    ["a forbidden answer", ["127.0.0.1"]],
    ["one forbidden address among public ones", ["1.1.1.1", "8.8.8.8", "127.0.0.1"]],
    ["a public IPv4 and a forbidden IPv6 address", ["1.1.1.1", "::1"]],
    ["a forbidden IPv4 and a public IPv6 address", ["2606:4700::1", "10.0.0.1"]],
    ["a mapped address", ["::ffff:127.0.0.1"]],
    ["a private address behind NAT64 beside a public one", ["1.1.1.1", "64:ff9b::a00:1"]],
    ["a public address behind a NAT64 prefix of local use", ["1.1.1.1", "64:ff9b:1::101:101"]],
    ["the metadata service", ["169.254.169.254"]],
  ])("%s refuses the name, this time", async (_, answer) => {
    const receiver = await startReceiver(zoo.wellBehaved);
    const server = await startNameServer(() => answer);
    const guard = guardOf({ allowHttp: true, ports: [receiver.port], dnsServers: [server.address] });
    expect(await send(startSender(guard), `http://rebind.example.com:${receiver.port}/`)).toMatchObject({ ...blocked, permanent: false });
    expect(receiver.connectionCount()).toBe(0);
  });

  test.each([
    ["beside the A record", ["127.0.0.1", "64:ff9b::7f00:1"]],
    ["beside another A record", ["127.0.0.1", "64:ff9b::7f00:9"]],
  ])("an AAAA record that DNS64 made, %s, is judged by its IPv4 address", async (_, answer) => {
    const receiver = await startReceiver(zoo.wellBehaved);
    const server = await startNameServer(() => answer);
    const guard = guardOf({ allow: ["127.0.0.0/8"], allowHttp: true, ports: [receiver.port], dnsServers: [server.address] });
    expect(await send(startSender(guard), `http://only-ipv4.example.com:${receiver.port}/`)).toMatchObject({ statusCode: 200 });
  });

  test("an AAAA record that DNS64 made, alone, may be dialled: it fails for want of a route, not of leave", async () => {
    const server = await startNameServer(() => ["64:ff9b::101:101"]);
    const guard = guardOf({ dnsServers: [server.address] });
    expect(await guard.checkName(new URL("https://only-ipv4.example.com/"))).toBeNull();
    expect(guard.refusalOfAddresses("only-ipv4.example.com", 443, [{ address: "64:ff9b::101:101", family: 6 }])).toBeNull();
  });

  test("a name that was public at registration and is not when it is dialled", async () => {
    const receiver = await startReceiver(zoo.wellBehaved);
    const server = await startNameServer((_, question) => (question === 1 ? ["1.1.1.1"] : ["127.0.0.1"]));
    const dnsServers = [server.address];
    const url = new URL(`http://rebind.example.com:${receiver.port}/`);
    const registration = guardOf({ allowHttp: true, ports: [receiver.port], dnsServers });
    expect(await registration.checkName(url)).toBeNull();
    const delivery = guardOf({ allowHttp: true, ports: [receiver.port], dnsServers });
    expect(await send(startSender(delivery), url.href)).toMatchObject({ ...blocked, permanent: false });
    expect(receiver.connectionCount()).toBe(0);
  });

  test("a name that turns for the better is delivered to: what was checked is what is dialled", async () => {
    const receiver = await startReceiver(zoo.wellBehaved);
    // Asked a third time it would say something else again.
    const server = await startNameServer((_, question) => (question === 1 ? ["127.0.0.1"] : ["10.0.0.1"]));
    const guard = guardOf({ allow: ["127.0.0.1"], allowHttp: true, ports: [receiver.port], dnsServers: [server.address] });
    expect(await send(startSender(guard), `http://flip.example.com:${receiver.port}/`)).toMatchObject({ statusCode: 200 });
    expect(server.asked).toEqual(["flip.example.com"]);
  });

  test.each([
    ["no such name", null],
    ["a name without an address", []],
  ])("%s is a dns failure", async (_, answer) => {
    const server = await startNameServer(() => answer);
    const guard = guardOf({ dnsServers: [server.address] });
    expect(await send(startSender(guard), "https://gone.example.com/secret?token=1")).toEqual({
      kind: "failed",
      code: "dns",
      detail: expect.stringMatching(/^the name does not resolve \(E[A-Z]+\)$/),
      statusCode: null,
      permanent: false,
    });
  });

  test("a name server that says nothing: the exchange ends in its time, and the sender closes", async () => {
    const server = await startNameServer(() => "silence");
    const sender = startSender(guardOf({ dnsServers: [server.address] }));
    const { outcome, durationMs } = await sender.send({
      url: "https://slow.example.com/",
      method: "POST",
      headers: {},
      body: "",
      timeoutMs: 150,
    });
    expect(outcome).toMatchObject({ kind: "failed", code: "dns" });
    expect(durationMs).toBeLessThan(1000);
  });
});

describe("a name at registration", () => {
  const url = new URL("https://crm.example.com/");

  test("a forbidden answer is reported at every check", async () => {
    const server = await startNameServer(() => ["10.0.0.1"]);
    const guard = guardOf({ dnsServers: [server.address] });
    const refusal = { reason: "has a host name that resolves to an address that is not public" };
    expect(await guard.checkName(url)).toEqual(refusal);
    expect(await guard.checkName(url)).toEqual(refusal);
  });

  test("a good one is asked once", async () => {
    const server = await startNameServer(() => ["1.1.1.1"]);
    const guard = guardOf({ dnsServers: [server.address] });
    for (let i = 0; i < 3; i++) expect(await guard.checkName(url)).toBeNull();
    expect(server.asked).toEqual(["crm.example.com"]);
  });

  test("a name without an answer within a second is left to delivery, and a second check does not wait", async () => {
    const server = await startNameServer(() => "silence");
    const guard = guardOf({ dnsServers: [server.address] });
    onTestFinished(() => guard.resolver.close());
    const startedMs = performance.now();
    expect(await guard.checkName(url)).toBeNull();
    expect(performance.now() - startedMs).toBeLessThan(1500);
    const againMs = performance.now();
    expect(await guard.checkName(url)).toBeNull();
    expect(performance.now() - againMs).toBeLessThan(100);
  });

  test("an account that names many hosts with silent servers holds up neither its neighbours nor their deliveries", async () => {
    const server = await startNameServer((name) => (name.endsWith("silent.example") ? "silence" : ["10.0.0.1"]));
    const guard = guardOf({ dnsServers: [server.address] });
    onTestFinished(() => guard.resolver.close());
    const silent = Array.from({ length: 200 }, (_, index) => guard.checkName(new URL(`https://${index}.silent.example/`), "acc_1"));
    const startedMs = performance.now();
    expect(await guard.checkName(url, "acc_2")).toMatchObject({ reason: expect.any(String) });
    expect(await guard.resolve("private.example", "acc_3")).toHaveLength(1);
    expect(performance.now() - startedMs).toBeLessThan(500);
    expect(await Promise.all(silent)).toEqual(silent.map(() => null));
  });

  test("an address needs no question", async () => {
    expect(await guardOf({ dnsServers: ["127.0.0.1:1"] }).checkName(new URL("https://1.1.1.1/"))).toBeNull();
  });
});
