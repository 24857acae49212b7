import { expect, test } from "vitest";
import { bodyOf, collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import { fastPolling, signingSecret } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

test(
  "1,000 calls registered in one batch all end, their sequences without a gap, through a kill in the middle",
  { timeout: 90_000 },
  async () => {
    const receiver = await collectingReceiver();
    const simulator = await simulatedUpstream();
    const service = await startService({
      as: "process",
      environment: { ...simulator.environment("polyai-legacy"), ...fastPolling, RETRY_SCHEDULE: "0s,200ms,1s,1s" },
    });
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
