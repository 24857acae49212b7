import { once } from "node:events";
import { createConnection } from "node:net";
import { expect, test } from "vitest";
import type { ScriptedAnswer } from "../../src/cli/receiver/receiver.ts";
import { collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { runToEnd } from "../harness/service/ended-service.ts";
import { eventually } from "../harness/service/eventually.ts";
import type { Client } from "../harness/service/client.ts";
import { apiKey, fastPolling, openService, reasonOfRefusal, signingSecret } from "../harness/service/environment.ts";
import { prepareService, startService } from "../harness/service/service.ts";
import type { ProcessService } from "../harness/service/service.ts";
import { silentLogger } from "../harness/silent-telemetry.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const queuedForEver = [{ atMs: 0, status: "queued" }];

const deliveriesOf = async ({ client }: { readonly client: Client }) => {
  const { body } = await client.get("/v1/deliveries");
  return (body["data"] as readonly { status: string; attempt_count: number }[]).map((delivery) => [
    delivery.status,
    delivery.attempt_count,
  ]);
};

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
  return { simulator, service, callSid, arrivals: () => receiver.deliveries.length };
}

test("from SIGTERM on no connection is accepted, a waiting request is answered, and a webhook on the wire may finish", async () => {
  // Setup: the receiver takes two thirds of the grace, a client waits for the next transition of its watch. What this
  // proves: the grace is shared, not cut into parts; a second SIGTERM changes nothing; what was answered is not sent again.
  const { service, arrivals } = await withWebhookOnTheWire({ statusCode: 204, delayMs: 4000 }, 6000);
  const { body } = await service.client.get("/v1/watches");
  const [watch] = body["data"] as readonly { id: string; sequence: number }[];
  const waiting = service.client.get(`/v1/watches/${watch?.id}?wait=30&sequence=${watch?.sequence}`);
  // On a connection made later: once it is answered, the one before it has been read.
  await service.client.get("/healthz");
  const stopped = service.stop();
  while (await isAccepted(Number(new URL(service.url).port)));
  expect(await Promise.all([stopped, service.stop()])).toEqual([0, 0]);
  expect(await waiting).toMatchObject({ status: 200, body: { id: watch?.id } });
  const next = await service.startNextHere();
  expect(await deliveriesOf(next)).toEqual([["delivered", 1]]);
  expect(arrivals()).toBe(1);
});

test("what is on the wire when the grace is over is no attempt, and is sent by the next start", async () => {
  // Setup: neither the receiver nor the upstream ever answers.
  const { simulator, service, callSid, arrivals } = await withWebhookOnTheWire("hang", 1000);
  simulator.fault({ kind: "hang" });
  await simulator.polled(callSid, simulator.pollCount(callSid) + 1);
  expect(await service.stop()).toBe(0);
  const next = await service.startNextHere();
  while ((await deliveriesOf(next))[0]?.[0] !== "delivered") await once(AbortSignal.timeout(20), "abort");
  expect(await deliveriesOf(next)).toEqual([["delivered", 1]]);
  expect(arrivals()).toBe(2);
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

/** Sends SIGTERM and resolves once the service has said so on /readyz. */
async function makeStopping(service: ProcessService): Promise<void> {
  service.signal("SIGTERM");
  await eventually(
    () => service.client.get("/readyz"),
    ({ status }) => status === 503,
  );
}

const slowToStop = { SHUTDOWN_DELAY_MS: "60000" };

test(
  "a start on the database of a server that is stopping waits for its end, for a while or until a SIGTERM",
  { timeout: 60_000 },
  async () => {
    const first = await startService({ as: "process", environment: slowToStop });
    await makeStopping(first);
    const url = `sqlite:${first.databasePath}`;
    const environment = { DATABASE_URL: url, RINGBACK_API_KEY: apiKey };
    const startedMs = performance.now();
    // After the delay and the grace of a stop it is refused.
    const reason = await reasonOfRefusal({ ...environment, SHUTDOWN_DELAY_MS: "700", SHUTDOWN_GRACE_MS: "300" });
    expect(reason).toMatch(/another server is using the database/);
    expect(performance.now() - startedMs).toBeGreaterThan(1000);
    const stopped = await runToEnd(environment, {
      onOutput: (text, stop) => (text.includes("store.waiting_for_stop") ? stop("SIGTERM") : undefined),
    });
    expect(stopped.code).toBe(0);

    const onOutput = (text: string) => (text.includes("store.waiting_for_stop") ? first.killNow() : undefined);
    const second = await prepareService({ as: "process", database: { url }, environment: slowToStop, onOutput });
    await second.start();
    expect(second.output).toContain("store.waiting_for_stop");
    expect((await second.client.get("/v1/me")).status).toBe(200);

    // A server that is not stopping is not waited for, also after one that was; nor the mark of one that was killed while it stopped.
    const said: string[] = [];
    const logger = { ...silentLogger, warn: (_: unknown, message: string) => void said.push(message) };
    expect(await reasonOfRefusal(environment, { logger })).toMatch(/another server is using the database/);
    second.signal("SIGTERM");
    await second.kill();
    await (await openService(environment, { logger })).stop();
    expect(said).not.toContain("store.waiting_for_stop");
  },
);
