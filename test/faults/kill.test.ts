import { once, EventEmitter } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import type { Delivery, ScriptedAnswer } from "../../src/cli/receiver/receiver.ts";
import { serviceProcess, signingSecret } from "../harness/service-process.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

type Webhook = { readonly type: string; readonly data: { readonly call_sid: string; readonly sequence: number; readonly status: string } };

const alive = () => AbortSignal.timeout(20_000);
const queuedForEver = [{ atMs: 0, status: "queued" }];

/** A receiver that collects what verifies and tells when the next one came. */
async function collectingReceiver(answers?: (delivery: Delivery) => ScriptedAnswer | null) {
  const arrivals = new EventEmitter();
  const deliveries: Delivery[] = [];
  const receiver = await startReceiver({
    secrets: [signingSecret],
    ...(answers === undefined ? {} : { answers }),
    onDelivery: (delivery) => {
      deliveries.push(delivery);
      arrivals.emit("delivery");
    },
  });
  onTestFinished(() => receiver.close());
  const until = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) await once(arrivals, "delivery", { signal: AbortSignal.timeout(60_000) });
  };
  return { url: receiver.url, deliveries, until };
}

/** A kill may make a webhook come twice; its id tells. */
const distinct = (deliveries: readonly Delivery[]) => [...new Map(deliveries.map((delivery) => [delivery.webhookId, delivery])).values()];

const bodyOf = (delivery: Delivery) => JSON.parse(delivery.body.toString()) as Webhook;

test("killed between the commit of an event and its first attempt: the next start sends it", async () => {
  // Setup: the first attempt is due 2 s after the commit. Timeline: the event is committed, SIGKILL, start.
  // What this proves: what was committed is owed, whatever happens to the process.
  const simulator = await simulatedUpstream();
  const receiver = await collectingReceiver();
  const service = await serviceProcess({ upstreamUrl: simulator.url, environment: { RETRY_SCHEDULE: "2s,1s,1s" } });
  await service.start(alive());
  const callSid = simulator.trigger({ scenario: queuedForEver });
  const registered = await service.client.post("/v1/watches", {
    call_sid: callSid,
    callback_url: `${receiver.url}/crm`,
    signing_secret: signingSecret,
  });
  expect(registered.statusCode).toBe(201);
  const committed = await service.client.get(`/v1/watches/${String(registered.body["id"])}?wait=10&sequence=0`);
  expect(committed.body["sequence"]).toBe(1);
  await service.kill();
  expect(receiver.deliveries).toHaveLength(0);

  await service.start(alive());
  await receiver.until(() => receiver.deliveries.length > 0);
  expect(receiver.deliveries.map((delivery) => [bodyOf(delivery).type, delivery.verification.kind])).toEqual([["call.queued", "verified"]]);
});

test("killed between a receiver's answer and its record: the same webhook comes again with the same id", async () => {
  // Setup: the process is killed the moment the receiver has the webhook. What this proves: at least once, and the
  // repetition can be told by its id.
  const simulator = await simulatedUpstream();
  const service = await serviceProcess({ upstreamUrl: simulator.url });
  const receiver = await collectingReceiver(({ attempt }) => {
    if (attempt === 1) service.killNow();
    return null;
  });
  await service.start(alive());
  const callSid = simulator.trigger({ scenario: queuedForEver });
  await service.client.post("/v1/watches", { call_sid: callSid, callback_url: `${receiver.url}/crm`, signing_secret: signingSecret });
  await receiver.until(() => receiver.deliveries.length === 1);
  await service.kill();

  await service.start(alive());
  await receiver.until(() => receiver.deliveries.length === 2);
  const [first, second] = receiver.deliveries;
  expect(second?.webhookId).toBe(first?.webhookId);
  expect(second?.body.equals(first?.body ?? Buffer.of())).toBe(true);
  expect(second?.verification.kind).toBe("verified");
});

test("a call goes on being polled by the next process after SIGKILL and after SIGTERM", async () => {
  const simulator = await simulatedUpstream();
  const receiver = await collectingReceiver();
  const service = await serviceProcess({ upstreamUrl: simulator.url });
  await service.start(alive());
  const callSid = simulator.trigger({ scenario: queuedForEver });
  await service.client.post("/v1/watches", { call_sid: callSid, callback_url: `${receiver.url}/crm`, signing_secret: signingSecret });
  await receiver.until(() => distinct(receiver.deliveries).length === 1);
  await service.kill();
  simulator.script(callSid, { scenario: [{ atMs: 0, status: "calling" }] });
  await service.start(alive());
  await receiver.until(() => distinct(receiver.deliveries).length === 2);
  expect(await service.terminate()).toBe(0);
  simulator.script(callSid, { scenario: [{ atMs: 0, status: "failure", reason: "busy" }] });
  await service.start(alive());
  await receiver.until(() => distinct(receiver.deliveries).length === 3);
  expect(distinct(receiver.deliveries).map((delivery) => bodyOf(delivery).data.sequence)).toEqual([1, 2, 3]);
  expect(distinct(receiver.deliveries).map((delivery) => bodyOf(delivery).type)).toEqual(["call.queued", "call.calling", "call.failure"]);
});

test(
  "1,000 calls registered in one batch all end, their sequences without a gap, through a kill in the middle",
  { timeout: 90_000 },
  async () => {
    const simulator = await simulatedUpstream();
    const receiver = await collectingReceiver();
    const service = await serviceProcess({ upstreamUrl: simulator.url, environment: { RETRY_SCHEDULE: "0s,200ms,1s,1s" } });
    await service.start(alive());
    const scenario = [
      { atMs: 0, status: "queued" },
      { atMs: 2000, status: "calling" },
      { atMs: 5000, status: "success" },
    ];
    const sids = Array.from({ length: 1000 }, () => simulator.trigger({ scenario }));
    const watches = sids.map((callSid, index) => ({
      call_sid: callSid,
      callback_url: `${receiver.url}/hooks/${index % 20}`,
      signing_secret: signingSecret,
    }));
    const answer = await service.client.post("/v1/watches/batch", { watches });
    expect((answer.body["results"] as readonly { status: number }[]).every(({ status }) => status === 201)).toBe(true);

    await receiver.until(() => receiver.deliveries.length >= 500);
    await service.kill();
    await service.start(alive());
    const ended = new Set<string>();
    let seen = 0;
    await receiver.until(() => {
      for (; seen < receiver.deliveries.length; seen++) {
        const { type, data } = bodyOf(receiver.deliveries[seen] as Delivery);
        if (type === "call.success") ended.add(data.call_sid);
      }
      return ended.size === sids.length;
    });

    const sequences = new Map<string, Set<number>>();
    for (const delivery of receiver.deliveries) {
      const { data } = bodyOf(delivery);
      sequences.set(data.call_sid, (sequences.get(data.call_sid) ?? new Set()).add(data.sequence));
      expect(delivery.verification.kind).toBe("verified");
    }
    for (const callSid of sids) {
      const got = [...(sequences.get(callSid) ?? [])].toSorted((a, b) => a - b);
      expect(got).toEqual(got.map((_, index) => index + 1));
      expect(got.length).toBeGreaterThan(0);
    }
  },
);
