import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { OriginDialler } from "../../../src/adapters/http-client/dialler.ts";
import type { ResolvedAddress } from "../../../src/adapters/http-client/name-resolver.ts";
import { startDistantServer } from "../../harness/receivers/distant-server.ts";

const v4 = (...addresses: readonly string[]) => addresses.map((address) => ({ address, family: 4 as const }));

type Dialled = { readonly remoteAddress: string | null; readonly code: string | null; readonly ms: number };

/** Dials `http://upstream.example:port` at these addresses, after a look-up of `lookUpMs`. */
async function dialled(addresses: readonly ResolvedAddress[], port: number, limitMs: number, lookUpMs = 0): Promise<Dialled> {
  const resolve = () => new Promise<readonly ResolvedAddress[]>((done) => setTimeout(done, lookUpMs, addresses));
  const dialler = new OriginDialler({ resolve, limitMs });
  const startedMs = performance.now();
  const { promise, resolve: end } = Promise.withResolvers<[Error | null, Socket | null]>();
  dialler.dial({ hostname: "upstream.example", protocol: "http:", port: String(port) }, (...ended) => end(ended));
  const [error, socket] = await promise;
  const remoteAddress = socket?.remoteAddress ?? null;
  socket?.destroy();
  const code = error === null ? null : String((error as { code?: unknown }).code ?? error.message);
  return { remoteAddress, code, ms: performance.now() - startedMs };
}

async function startListener(host: string, port = 0): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => {}));
  server.listen(port, host);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe("an address that is slow", () => {
  test.each([
    ["and the last refuses", v4("127.0.0.1", "127.0.0.9")],
    ["and the last has no route", [...v4("127.0.0.1"), { address: "100::1", family: 6 as const }]],
    ["and it is the only one", v4("127.0.0.1")],
    ["and the first refuses", v4("127.0.0.9", "127.0.0.1")],
  ])("is waited for: %s", async (_, addresses) => {
    const server = await startDistantServer("127.0.0.1");
    setTimeout(server.comeNear, 300);
    expect(await dialled(addresses, server.port, 5000)).toMatchObject({ remoteAddress: "127.0.0.1", code: null });
  });

  test("has the whole limit, however long the look-up was", async () => {
    const server = await startDistantServer("127.0.0.1");
    setTimeout(server.comeNear, 1300);
    expect(await dialled(v4("127.0.0.1", "127.0.0.9"), server.port, 2500, 1200)).toMatchObject({ code: null });
  });
});

describe("an address that is silent", () => {
  test("beside one that answers costs 2.5 s", async () => {
    const { port } = await startDistantServer("127.0.0.2");
    await startListener("127.0.0.1", port);
    const { remoteAddress, ms } = await dialled(v4("127.0.0.2", "127.0.0.1"), port, 5000);
    expect(remoteAddress).toBe("127.0.0.1");
    expect(ms).toBeGreaterThan(2400);
  });

  test("before others as silent leaves each its turn within the limit", async () => {
    const { port } = await startDistantServer("127.0.0.2");
    await startDistantServer("127.0.0.3", port);
    await startListener("127.0.0.1", port);
    const { remoteAddress, ms } = await dialled(v4("127.0.0.2", "127.0.0.3", "127.0.0.1"), port, 3000);
    expect(remoteAddress).toBe("127.0.0.1");
    expect(ms).toBeLessThan(3000);
  });

  test("alone ends with the limit", async () => {
    const { port } = await startDistantServer("127.0.0.2");
    const { code, ms } = await dialled(v4("127.0.0.2"), port, 1000);
    expect(code).toBe("UND_ERR_CONNECT_TIMEOUT");
    expect(ms).toBeLessThan(2500);
  });
});

test("what is given up while its name is looked up is not dialled", async () => {
  const port = await startListener("127.0.0.1");
  const { promise: addresses, resolve: found } = Promise.withResolvers<readonly ResolvedAddress[]>();
  const dialler = new OriginDialler({ resolve: () => addresses, limitMs: 1000 });
  const { promise: ended, resolve: end } = Promise.withResolvers<Error | null>();
  const dialling = dialler.dial({ hostname: "a.example", protocol: "http:", port: String(port) }, (...[error]) => end(error));
  expect(dialling.stage).toBe("name");
  dialling.close(new Error("closed"));
  found(v4("127.0.0.1"));
  expect(await ended).toMatchObject({ message: "closed" });
});
