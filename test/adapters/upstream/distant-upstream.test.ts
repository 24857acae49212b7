import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../src/adapters/clock.ts";
import { UpstreamNames } from "../../../src/adapters/http-client/upstream-names.ts";
import { UpstreamSource } from "../../../src/adapters/upstream/upstream-source.ts";
import { startDistantServer } from "../../harness/receivers/distant-server.ts";
import { startNameServer } from "../../harness/receivers/name-server.ts";
import type { Zone } from "../../harness/receivers/name-server.ts";
import { seen } from "../../harness/observations.ts";
import { sourceProtocol } from "../../harness/upstream/settings.ts";

const target = { callSid: "OUT-1", scope: "" };
const never = () => false;

async function startSource(zone: Zone, port: number, host = "upstream.example"): Promise<UpstreamSource> {
  const server = await startNameServer(zone);
  const names = new UpstreamNames({ servers: [server.address] });
  const source = new UpstreamSource(sourceProtocol({ baseUrl: `http://${host}:${port}` }), systemClock, { names });
  onTestFinished(async () => {
    await source.close();
    names.close();
  });
  return source;
}

test("a source a second away is polled, though its other address refuses and its name server swallows AAAA", async () => {
  const upstream = await startDistantServer("127.0.0.1");
  const source = await startSource((_name, _n, type) => (type === "A" ? ["127.0.0.1", "127.0.0.9"] : "silence"), upstream.port);
  setTimeout(upstream.comeNear, 300);
  const { observation, durationMs } = await source.poll(target, never);
  expect(observation).toEqual(seen("calling"));
  expect(durationMs).toBeLessThan(3000);
});

test.each<[name: string, zone: Zone]>([
  ["no such name", () => null],
  ["a server failure", () => "servfail"],
  ["a name without an address", () => []],
  ["silence", () => "silence"],
])("%s is a dns failure, with time left for the poll to say so", async (_, zone) => {
  const source = await startSource(zone, 9);
  const { observation, durationMs } = await source.poll(target, never);
  expect(observation).toMatchObject({ kind: "failed", code: "dns" });
  expect(durationMs).toBeLessThan(6000);
});
