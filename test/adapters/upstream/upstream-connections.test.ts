import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../src/adapters/clock.ts";
import { UpstreamNames } from "../../../src/adapters/http-client/upstream-names.ts";
import { UpstreamSource } from "../../../src/adapters/upstream/upstream-source.ts";
import { exhaustDescriptors } from "../../harness/run/descriptors.ts";
import { startNameServer } from "../../harness/receivers/name-server.ts";
import { sourceProtocol } from "../../harness/upstream/settings.ts";

const target = { callSid: "OUT-1", scope: "" };
const never = () => false;

/** An upstream that keeps every connection for ten minutes and says so; counts them. */
async function startUpstream(statusCode: () => number, host = "127.0.0.1", port = 0) {
  let connections = 0;
  let polls = 0;
  const server = createServer((_request, response) => {
    polls += 1;
    response.writeHead(statusCode(), { "keep-alive": "timeout=600, max=1000" });
    response.end('{"status":"calling","reason":""}');
  });
  server.keepAliveTimeout = 600_000;
  server.on("connection", () => (connections += 1));
  server.listen(port, host);
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, connections: () => connections, polls: () => polls };
}

async function sourceOf(port: number, addresses: () => readonly string[], maxConnectionAgeMs?: number): Promise<UpstreamSource> {
  const server = await startNameServer(addresses);
  const names = new UpstreamNames({ servers: [server.address] });
  const age = maxConnectionAgeMs === undefined ? {} : { maxConnectionAgeMs };
  const baseUrl = `http://upstream.example:${port}`;
  const source = new UpstreamSource(sourceProtocol({ baseUrl }), systemClock, { names, maxConnections: 1, ...age });
  onTestFinished(async () => {
    await source.close();
    names.close();
  });
  return source;
}

test.each([500, 502, 503])("a connection is let go after a %i", async (statusCode) => {
  const upstream = await startUpstream(() => statusCode);
  const source = await sourceOf(upstream.port, () => ["127.0.0.1"]);
  for (let n = 0; n < 3; n++) await source.poll(target, never);
  expect(upstream.connections()).toBe(3);
});

test.each([200, 404, 429])("a connection stays after a %i", async (statusCode) => {
  const upstream = await startUpstream(() => statusCode);
  const source = await sourceOf(upstream.port, () => ["127.0.0.1"]);
  for (let n = 0; n < 3; n++) await source.poll(target, never);
  expect(upstream.connections()).toBe(1);
});

test("a name that moved is followed though the upstream before answers every poll", { timeout: 30_000 }, async () => {
  const before = await startUpstream(() => 200);
  const after = await startUpstream(() => 200, "127.0.0.2", before.port);
  const addresses = ["127.0.0.1"];
  const source = await sourceOf(before.port, () => addresses, 500);
  await source.poll(target, never);
  addresses[0] = "127.0.0.2";
  // An answer of the name servers is kept for 5 s.
  await expect.poll(async () => (await source.poll(target, never), after.polls()), { timeout: 10_000, interval: 20 }).toBeGreaterThan(0);
  expect(before.connections()).toBeGreaterThan(5);
});

test("a poll for which no file descriptor was left was not started", async () => {
  const upstream = await startUpstream(() => 200);
  const source = await sourceOf(upstream.port, () => ["127.0.0.1"]);
  const release = exhaustDescriptors();
  expect((await source.poll(target, never).finally(release)).observation).toEqual({ kind: "not_started", code: "EMFILE" });
  expect((await source.poll(target, never)).observation).toMatchObject({ kind: "status", status: "calling" });
});
