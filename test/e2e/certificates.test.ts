import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { selfSigned } from "../harness/receivers/self-signed.ts";
import type { Identity } from "../harness/receivers/self-signed.ts";
import { fastPolling } from "../harness/service/environment.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";

async function httpsServer(identity: Identity, body: string) {
  let requests = 0;
  const server = createServer(identity, (_request, response) => {
    requests += 1;
    response.writeHead(200, { "content-type": "application/json" }).end(body);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `https://localhost:${(server.address() as AddressInfo).port}`, requests: () => requests };
}

/** An upstream and a receiver that only this identity vouches for, and a service that watches one call of the upstream and one of the sandbox. */
async function watching(environment: (identity: Identity) => Promise<Readonly<Record<string, string>>>) {
  const identity = selfSigned("localhost");
  const upstream = await httpsServer(identity, '{"status":"queued"}');
  const receiver = await httpsServer(identity, "");
  const service = await startService({
    as: "process",
    environment: {
      POLYAI_BASE_URL: upstream.url,
      POLYAI_AUTH_TOKEN: "any",
      ...fastPolling,
      CALLBACK_ALLOW: "localhost",
      RETRY_SCHEDULE: "0s",
      ...(await environment(identity)),
    },
  });
  await service.client.post("/v1/watches", { call_sid: "OUT-1", callback_url: `${receiver.url}/upstream` });
  await service.client.post("/v1/watches", { call_sid: "OUT-sandbox-success", source: "sandbox", callback_url: receiver.url });
  return { upstream, receiver, service };
}

test("certificate checks cannot be turned off, of neither the upstream nor a receiver", async () => {
  const { upstream, receiver, service } = await watching(() => Promise.resolve({ NODE_TLS_REJECT_UNAUTHORIZED: "0" }));
  const deliveries = async () => (await service.client.get("/v1/deliveries?status=exhausted")).body["data"] as readonly { id: string }[];
  let [refused] = await deliveries();
  while (refused === undefined) [refused] = await deliveries();
  const { body } = await service.client.get(`/v1/deliveries/${refused.id}`);
  expect(body["attempts"]).toMatchObject([{ status_code: null, error: { code: "tls" } }]);
  const problem = async () => {
    const watches = (await service.client.get("/v1/watches?call_sid=OUT-1")).body["data"] as readonly {
      call: { problem: string | null };
    }[];
    return watches[0]?.call.problem;
  };
  while ((await problem()) === null);
  expect(await problem()).toBe("upstream_errors");
  expect([upstream.requests(), receiver.requests()]).toEqual([0, 0]);
});

test("a private authority is trusted by NODE_EXTRA_CA_CERTS", async () => {
  const { upstream, receiver, service } = await watching(async ({ cert }) => {
    const path = join(await temporaryFolder(), "authority.pem");
    await writeFile(path, cert);
    return { NODE_EXTRA_CA_CERTS: path };
  });
  const delivered = async () => (await service.client.get("/v1/deliveries?status=delivered")).body["data"] as readonly unknown[];
  while ((await delivered()).length < 2);
  expect(upstream.requests()).toBeGreaterThan(0);
  expect(receiver.requests()).toBeGreaterThanOrEqual(2);
});
