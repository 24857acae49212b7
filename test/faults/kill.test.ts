import { expect, test } from "vitest";
import { bodyOf, collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { fastPolling, signingSecret } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

const queuedForEver = [{ atMs: 0, status: "queued" }];

/** A service as a process, with a simulated upstream. */
async function polling(environment: Readonly<Record<string, string>> = {}) {
  const simulator = await simulatedUpstream();
  const service = await startService({
    as: "process",
    environment: { ...simulator.environment("polyai-legacy"), ...fastPolling, ...environment },
  });
  return { simulator, service };
}

/** A kill may make a webhook come twice, with the same id. */
const distinct = <T extends { readonly webhookId: string }>(deliveries: readonly T[]) => [
  ...new Map(deliveries.map((delivery) => [delivery.webhookId, delivery])).values(),
];

test("killed between the commit of an event and its first attempt: the next start sends it", async () => {
  // Setup: the first attempt is due 2 s after the commit. Timeline: the event is committed, SIGKILL, start.
  // What this proves: a committed event stays pending when the process dies.
  const receiver = await collectingReceiver();
  const { simulator, service } = await polling({ RETRY_SCHEDULE: "2s,1s,1s" });
  const callSid = simulator.trigger({ scenario: queuedForEver });
  const registered = await service.client.post("/v1/watches", {
    call_sid: callSid,
    callback_url: `${receiver.url}/crm`,
    signing_secret: signingSecret,
  });
  expect(registered.status).toBe(201);
  const committed = await service.client.get(`/v1/watches/${String(registered.body["id"])}?wait=10&sequence=0`);
  expect(committed.body["sequence"]).toBe(1);
  await service.kill();
  expect(receiver.deliveries).toHaveLength(0);

  await service.start();
  await receiver.until(() => receiver.deliveries.length > 0);
  expect(receiver.deliveries.map((delivery) => [bodyOf(delivery).type, delivery.verification.kind])).toEqual([["call.queued", "verified"]]);
});

test("killed between a receiver's answer and its record: the same webhook comes again with the same id", async () => {
  // Setup: the process is killed the moment the receiver has the webhook. What this proves: at least once, and a
  // repetition has the same id.
  const { simulator, service } = await polling();
  const receiver = await collectingReceiver(({ attempt }) => {
    if (attempt === 1) service.killNow();
    return null;
  });
  const callSid = simulator.trigger({ scenario: queuedForEver });
  await service.client.post("/v1/watches", { call_sid: callSid, callback_url: `${receiver.url}/crm`, signing_secret: signingSecret });
  await receiver.until(() => receiver.deliveries.length === 1);
  await service.kill();

  await service.start();
  await receiver.until(() => receiver.deliveries.length === 2);
  const [first, second] = receiver.deliveries;
  expect(second?.webhookId).toBe(first?.webhookId);
  expect(second?.body.equals(first?.body ?? Buffer.of())).toBe(true);
  expect(second?.verification.kind).toBe("verified");
});

test("a call goes on being polled by the next process after SIGKILL and after SIGTERM", async () => {
  const receiver = await collectingReceiver();
  const { simulator, service } = await polling();
  const callSid = simulator.trigger({ scenario: queuedForEver });
  await service.client.post("/v1/watches", { call_sid: callSid, callback_url: `${receiver.url}/crm`, signing_secret: signingSecret });
  await receiver.until(() => distinct(receiver.deliveries).length === 1);
  await service.kill();
  simulator.script(callSid, { scenario: [{ atMs: 0, status: "calling" }] });
  await service.start();
  await receiver.until(() => distinct(receiver.deliveries).length === 2);
  expect(await service.stop()).toBe(0);
  simulator.script(callSid, { scenario: [{ atMs: 0, status: "failure", reason: "busy" }] });
  await service.start();
  await receiver.until(() => distinct(receiver.deliveries).length === 3);
  expect(distinct(receiver.deliveries).map((delivery) => bodyOf(delivery).data.sequence)).toEqual([1, 2, 3]);
  expect(distinct(receiver.deliveries).map((delivery) => bodyOf(delivery).type)).toEqual(["call.queued", "call.calling", "call.failure"]);
});

test(
  "1,000 calls registered in one batch all end, their sequences without a gap, through a kill in the middle",
  { timeout: 90_000 },
  async () => {
    const receiver = await collectingReceiver();
    const { simulator, service } = await polling({ RETRY_SCHEDULE: "0s,200ms,1s,1s" });
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
    await service.start();
    const ended = new Set<string>();
    let seen = 0;
    await receiver.until(() => {
      for (; seen < receiver.deliveries.length; seen++) {
        const delivery = receiver.deliveries[seen];
        if (delivery !== undefined && bodyOf(delivery).type === "call.success") ended.add(bodyOf(delivery).data.call_sid);
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
