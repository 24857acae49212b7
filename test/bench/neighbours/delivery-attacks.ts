import { setTimeout } from "node:timers/promises";
import type { Attack, Attacker } from "./attacker.ts";

const batchSize = 1000;
const hangingHosts = 100;
const pendingDeliveries = 20_000;
const hourMs = 3_600_000;
const prepareLimitMs = 60_000;
const lookEveryMs = 200;
/** Of the deliveries that a preparation asks for, so that a few of another instance do not hold it up. */
const enough = 0.98;

// What a preparation made and its attack uses; one attack runs in a process.
let retried: readonly string[] = [];
let endpointId = "";

export const manualRetries: Attack = {
  async prepare(attacker) {
    await attacker.watch(
      Array.from({ length: hangingHosts }, (_, host) => ({ call_sid: `OUT-hang-${host}`, callback_url: attacker.callback("hang", host) })),
    );
    retried = await until(async () => {
      const { body } = await attacker.send("GET", "/v1/deliveries?status=pending&limit=200");
      // A delivery is not on the wire once its first attempt has timed out.
      const deliveries = (body["data"] ?? []) as readonly { readonly id: string; readonly attempt_count: number }[];
      const ids = deliveries.filter((delivery) => delivery.attempt_count > 0).map(({ id }) => id);
      return ids.length >= hangingHosts * enough ? ids : null;
    });
  },
  run: (attacker) => attacker.repeat(32, (index) => attacker.send("POST", `/v1/deliveries/${retried[index % retried.length] ?? ""}/retry`)),
};

export const endpointSwitches: Attack = {
  async prepare(attacker) {
    const callbackUrl = attacker.callback("fail", 1);
    const first = await attacker.send("POST", "/v1/watches", { call_sid: "OUT-done-first", callback_url: callbackUrl });
    endpointId = String(first.body["endpoint_id"]);
    await patch(attacker, "paused");
    const size = pendingDeliveries / attacker.job.scale;
    for (let from = 0; from < size; from += batchSize)
      await attacker.watch(
        Array.from({ length: Math.min(batchSize, size - from) }, (_, offset) => ({
          call_sid: `OUT-done-${from + offset}`,
          callback_url: callbackUrl,
        })),
      );
    await until(async () => {
      const { body } = await attacker.send("GET", `/v1/endpoints/${endpointId}`);
      return Number(body["backlog"]) >= size * enough ? true : null;
    });
  },
  run: (attacker) =>
    attacker.repeat(1, async () => {
      await patch(attacker, "disabled");
      await patch(attacker, "enabled");
      await attacker.send("POST", `/v1/endpoints/${endpointId}/recover`, { since: new Date(Date.now() - hourMs).toISOString() });
    }),
};

function patch(attacker: Attacker, state: "enabled" | "paused" | "disabled") {
  return attacker.send("PATCH", `/v1/endpoints/${endpointId}`, { state });
}

async function until<T>(look: () => Promise<T | null>): Promise<T> {
  for (const endsAtMs = performance.now() + prepareLimitMs; performance.now() < endsAtMs; await setTimeout(lookEveryMs)) {
    const found = await look();
    if (found !== null) return found;
  }
  throw new Error(`the attack was not prepared in ${prepareLimitMs} ms`);
}
