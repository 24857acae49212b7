import { expect, test } from "vitest";
import { bodyOf, collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { fastPolling, signingSecret } from "../harness/service/environment.ts";
import { eventually } from "../harness/service/eventually.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

type Shown = { readonly id: string; readonly attempt_count: number };

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

test(
  "killed at three moments and stopped once: what was committed is sent, with the same id, and polling goes on",
  { timeout: 180_000 },
  async () => {
    // What this proves: a committed event stays pending when the process dies; a webhook whose answer was not recorded comes
    // again with the same id; an accepted retry is kept and does not wait for the schedule; the next process polls each call.
    const { simulator, service } = await polling({ RETRY_SCHEDULE: "2s,1s,1s" });
    const arrived = new Map<string, number>();
    const receiver = await collectingReceiver(({ path }) => {
      const nth = (arrived.get(path) ?? 0) + 1;
      arrived.set(path, nth);
      if (path === "/answered" && nth === 1) service.killNow();
      if (path === "/retried") return nth === 1 ? 500 : nth === 2 ? "hang" : null;
      return null;
    });
    const at = (path: string) => receiver.deliveries.filter((delivery) => delivery.path === path);
    const watch = async (path: string) => {
      const call_sid = simulator.trigger({ scenario: queuedForEver });
      const callback_url = `${receiver.url}${path}`;
      const { status, body } = await service.client.post("/v1/watches", { call_sid, callback_url, signing_secret: signingSecret });
      expect(status).toBe(201);
      return { id: String(body["id"]), callSid: call_sid };
    };

    // Killed between the commit of an event and its first attempt, which is due 2 s later.
    const committed = await watch("/committed");
    const shown = await service.client.get(`/v1/watches/${committed.id}?wait=10&sequence=0`);
    expect(shown.body["sequence"]).toBe(1);
    await service.kill();
    expect(receiver.deliveries).toHaveLength(0);
    await service.start({ RETRY_SCHEDULE: "0s,1h,1h" });
    await receiver.until(() => at("/committed").length > 0);
    expect(at("/committed").map((delivery) => [bodyOf(delivery).type, delivery.verification.kind])).toEqual([["call.queued", "verified"]]);

    // Killed between a receiver's answer and its record.
    await watch("/answered");
    await receiver.until(() => at("/answered").length === 1);
    await service.kill();
    simulator.script(committed.callSid, { scenario: [{ atMs: 0, status: "calling" }] });
    await service.start();
    await receiver.until(() => at("/answered").length === 2 && distinct(at("/committed")).length === 2);
    const [first, second] = at("/answered");
    expect(second?.webhookId).toBe(first?.webhookId);
    expect(second?.body.equals(first?.body ?? Buffer.of())).toBe(true);
    expect(second?.verification.kind).toBe("verified");

    // Killed while the attempt of an accepted retry is on the wire; its schedule has the next one in an hour.
    await watch("/retried");
    const pending = async () => (await service.client.get("/v1/deliveries?status=pending")).body["data"] as readonly Shown[];
    const [delivery] = await eventually(pending, ([only]) => only?.attempt_count === 1);
    const path = `/v1/deliveries/${delivery?.id}`;
    expect((await service.client.post(`${path}/retry`, {})).status).toBe(202);
    await receiver.until(() => at("/retried").length === 2);
    await service.kill();
    await service.start();
    await receiver.until(() => at("/retried").length === 3);
    expect(new Set(at("/retried").map(({ webhookId }) => webhookId)).size).toBe(1);
    const { body } = await eventually(
      () => service.client.get(path),
      (answer) => answer.body["status"] !== "pending",
    );
    expect([body["status"], body["attempt_count"]]).toEqual(["delivered", 2]);

    expect(await service.stop()).toBe(0);
    simulator.script(committed.callSid, { scenario: [{ atMs: 0, status: "failure", reason: "busy" }] });
    await service.startNextHere();
    await receiver.until(() => distinct(at("/committed")).length === 3);
    expect(distinct(at("/committed")).map((each) => [bodyOf(each).data.sequence, bodyOf(each).type])).toEqual([
      [1, "call.queued"],
      [2, "call.calling"],
      [3, "call.failure"],
    ]);
  },
);
