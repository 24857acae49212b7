import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pool } from "undici";
import { generateSecret, hmacKeyOf, signWebhook } from "../../../src/domain/webhooks/signature.ts";
import type { WatchedCall } from "../../../src/ports/stores/call-store.ts";
import { startChild } from "../child.ts";
import type { Figure } from "../figure.ts";
import { Outbound } from "../outbound.ts";

/** Half of what the service has on the wire at most, over as many hosts as keep each within its own limit. */
const concurrency = 256;
const hosts = 8;
const rounds = 3;
/** A watch gets no event after fifty transitions. */
const eventsPerCall = 45;
const callsPerRound = 3000;

const urlOf = (port: number, index: number) => `http://127.0.0.${1 + (index % hosts)}:${port}/hook`;

/** Deliveries a second through commit, signature, POST and commit, against a bare loop of signed POSTs, same receiver, in turn. */
export async function measureDeliveries(roundMs: number): Promise<Figure> {
  const sink = await startChild("./sink.ts");
  const folder = await mkdtemp(join(tmpdir(), "ringback-bench-"));
  const outbound = await Outbound.open(join(folder, "ringback.db"));
  try {
    // The limits in flight begin low and grow.
    await deliverWhole(outbound, sink.port, roundMs);
    const ratios: number[] = [];
    let last = { bare: 0, whole: 0 };
    for (let round = 0; round < rounds; round++) {
      const bare = await postBare(sink.port, roundMs);
      const whole = await deliverWhole(outbound, sink.port, roundMs);
      last = { bare, whole };
      ratios.push(whole / bare);
    }
    const ratio = ratios.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0;
    return {
      name: "deliveries/s, commit to commit, against a bare loop of signed POSTs",
      value: ratio,
      shown: `${ratio.toFixed(2)} (${Math.round(last.whole)} against ${Math.round(last.bare)} a second in the last of ${rounds} rounds)`,
      bar: ">= 0.50",
      met: ratio >= 0.5,
    };
  } finally {
    await outbound[Symbol.asyncDispose]();
    await sink[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Transitions under way at once: the next is committed when one was delivered and recorded. */
async function deliverWhole(outbound: Outbound, sinkPort: number, roundMs: number): Promise<number> {
  const fresh = [...(await outbound.watch(callsPerRound, `deliveries-${performance.now()}`, (index) => urlOf(sinkPort, index)))];
  const underWay = new Map<string, WatchedCall>();
  const done = Promise.withResolvers<void>();
  const startedMs = performance.now();
  let delivered = 0;
  const advance = async (call: WatchedCall | undefined): Promise<void> => {
    if (call === undefined) throw new Error("the round needs more calls");
    underWay.set(call.callSid, await outbound.see(call, `step-${call.version}`));
  };
  outbound.onDelivered = (callSid) => {
    delivered += 1;
    const call = underWay.get(callSid);
    underWay.delete(callSid);
    const isOver = performance.now() - startedMs >= roundMs;
    if (!isOver) advance(call !== undefined && call.version < eventsPerCall ? call : fresh.pop()).catch(done.reject);
    else if (underWay.size === 0) done.resolve();
  };
  await Promise.all(Array.from({ length: concurrency }, () => advance(fresh.pop())));
  await done.promise;
  return (delivered / (performance.now() - startedMs)) * 1000;
}

async function postBare(port: number, roundMs: number): Promise<number> {
  const pools = Array.from({ length: hosts }, (_, index) => {
    return new Pool(new URL(urlOf(port, index)).origin, { connections: concurrency / hosts, pipelining: 1, allowH2: false });
  });
  const key = hmacKeyOf(generateSecret());
  const startedMs = performance.now();
  let count = 0;
  const loop = async (pool: Pool): Promise<void> => {
    while (performance.now() - startedMs < roundMs) {
      const id = `evt_${count}`;
      const timestampSeconds = Math.floor(Date.now() / 1000);
      const body = JSON.stringify({ type: "call.other", timestamp: new Date().toISOString(), data: { call_sid: `OUT-${count}` } });
      const answer = await pool.request({
        path: "/hook",
        method: "POST",
        headers: {
          "content-type": "application/json",
          "webhook-id": id,
          "webhook-timestamp": String(timestampSeconds),
          "webhook-signature": signWebhook({ id, timestampSeconds, body }, { hmac: [key], ed25519: null }),
        },
        body,
      });
      await answer.body.dump();
      count += 1;
    }
  };
  await Promise.all(pools.flatMap((pool) => Array.from({ length: concurrency / hosts }, () => loop(pool))));
  await Promise.all(pools.map((pool) => pool.close()));
  return (count / (performance.now() - startedMs)) * 1000;
}
