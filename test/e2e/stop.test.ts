import { once } from "node:events";
import { createConnection } from "node:net";
import { expect, test } from "vitest";
import type { ScriptedAnswer } from "../../src/cli/receiver/receiver.ts";
import { collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { eventually } from "../harness/service/eventually.ts";
import { fastPolling, signingSecret } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const queuedForEver = [{ atMs: 0, status: "queued" }];

/** A service with a webhook on the wire, and what the receiver answers to it. */
async function withWebhookOnTheWire(answer: ScriptedAnswer, graceMs: number) {
  const simulator = await simulatedUpstream();
  const service = await startService({
    as: "process",
    environment: { ...simulator.environment("polyai-legacy"), ...fastPolling, SHUTDOWN_GRACE_MS: String(graceMs) },
  });
  let answered = 0;
  const receiver = await collectingReceiver(() => (answered++ === 0 ? answer : null));
  const callSid = simulator.trigger({ scenario: queuedForEver });
  await service.client.post("/v1/watches", { call_sid: callSid, callback_url: receiver.url, signing_secret: signingSecret });
  await receiver.until(() => receiver.deliveries.length > 0);
  const deliveries = async () => {
    const { body } = await service.client.get("/v1/deliveries");
    return (body["data"] as readonly { status: string; attempt_count: number }[]).map((delivery) => [
      delivery.status,
      delivery.attempt_count,
    ]);
  };
  return { simulator, service, callSid, deliveries, arrivals: () => receiver.deliveries.length };
}

test("SIGTERM lets a webhook on the wire finish within the grace, and it is not sent again", async () => {
  // Setup: the receiver takes two thirds of the grace. What this proves: the grace is shared, not cut into parts.
  const { service, deliveries, arrivals } = await withWebhookOnTheWire({ statusCode: 204, delayMs: 4000 }, 6000);
  expect(await service.stop()).toBe(0);
  await service.start();
  expect(await deliveries()).toEqual([["delivered", 1]]);
  expect(arrivals()).toBe(1);
});

test("what is on the wire when the grace is over is no attempt, and is sent by the next start", async () => {
  // Setup: neither the receiver nor the upstream ever answers.
  const { simulator, service, callSid, deliveries, arrivals } = await withWebhookOnTheWire("hang", 1000);
  simulator.fault({ kind: "hang" });
  await simulator.polled(callSid, simulator.pollCount(callSid) + 1);
  expect(await service.stop()).toBe(0);
  await service.start();
  while ((await deliveries())[0]?.[0] !== "delivered") await once(AbortSignal.timeout(20), "abort");
  expect(await deliveries()).toEqual([["delivered", 1]]);
  expect(arrivals()).toBe(2);
});

test("from SIGTERM on no connection is accepted, a waiting request is answered, and a second SIGTERM changes nothing", async () => {
  // Setup: a webhook that takes a second keeps the service alive, a client waits for the next transition of its watch.
  const { service } = await withWebhookOnTheWire({ statusCode: 204, delayMs: 1000 }, 10_000);
  const { body } = await service.client.get("/v1/watches");
  const [watch] = body["data"] as readonly { id: string; sequence: number }[];
  const waiting = service.client.get(`/v1/watches/${watch?.id}?wait=30&sequence=${watch?.sequence}`);
  // On a connection made later: once it is answered, the one before it has been read.
  await service.client.get("/healthz");
  const stopped = service.stop();
  while (await isAccepted(Number(new URL(service.url).port)));
  expect(await Promise.all([stopped, service.stop()])).toEqual([0, 0]);
  expect(await waiting).toMatchObject({ status: 200, body: { id: watch?.id } });
});

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s makes it not ready at once, and requests are taken for SHUTDOWN_DELAY_MS; a second signal changes nothing",
  async (signal) => {
    const delayMs = 4000;
    const service = await startService({ as: "process", environment: { SHUTDOWN_DELAY_MS: ` ${delayMs} `, CALLBACK_PORTS: "9" } });
    const signalledMs = performance.now();
    service.signal(signal);
    const ready = () => service.client.get("/readyz").then(({ status }) => status);
    await eventually(ready, (status) => status === 503, delayMs);
    const watch = { source: "sandbox", call_sid: "OUT-sandbox-slow", callback_url: "http://127.0.0.1:9/hook" };
    expect(await service.client.post("/v1/watches", watch)).toMatchObject({ status: 201 });
    service.signal(signal);
    expect(await isAccepted(Number(new URL(service.url).port))).toBe(true);
    expect(await service.client.post("/v1/watches", watch)).toMatchObject({ status: 200 });
    // The third signal: it resolves with the exit code.
    expect(await service.stop()).toBe(0);
    expect(performance.now() - signalledMs).toBeGreaterThan(delayMs);
  },
);

async function isAccepted(port: number): Promise<boolean> {
  const socket = createConnection(port, "127.0.0.1");
  const accepted = once(socket, "connect").then(
    () => true,
    () => false,
  );
  return accepted.finally(() => socket.destroy());
}
