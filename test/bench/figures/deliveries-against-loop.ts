import { Pool } from "undici";
import { generateSecret, hmacKeyOf, signWebhook } from "../../../src/domain/webhooks/signature.ts";
import type { WatchedCall } from "../../../src/ports/stores/call-store.ts";
import { benchDatabase } from "../bench-service.ts";
import { startChild } from "../child.ts";
import type { Figure } from "../figure.ts";
import { alternate, median } from "../machine/alternation.ts";
import { cpuSeconds } from "../machine/processor-time.ts";
import { Outbound } from "../outbound.ts";

/** Half of what the service has on the wire at most, over as many hosts as keep each within its own limit. */
const concurrency = 256;
const hosts = 8;
/** A watch gets no event after fifty transitions. */
const eventsPerCall = 45;
const callsPerRound = 3000;

const urlOf = (port: number, index: number) => `http://127.0.0.${1 + (index % hosts)}:${port}/hook`;

type Measured = { readonly perSecond: number; readonly cpuUs: number };

/** Deliveries a second through commit, signature, POST and commit, against a bare loop of signed POSTs, same receiver, in turn. */
export async function measureDeliveries(roundMs: number, rounds: number): Promise<readonly Figure[]> {
  await using sink = await startChild("./sink.ts");
  await using database = await benchDatabase();
  await using outbound = await Outbound.open(database.path);
  // The limits in flight begin low and grow.
  await deliverWhole(outbound, await watchFresh(outbound, sink.port), roundMs);
  const measured = await alternate(
    rounds,
    new Map([
      ["bare", () => withCpu(() => postBare(sink.port, roundMs))],
      [
        "whole",
        async () => {
          const fresh = await watchFresh(outbound, sink.port);
          return withCpu(() => deliverWhole(outbound, fresh, roundMs));
        },
      ],
    ]),
  );
  const [bare = [], whole = []] = [measured.get("bare"), measured.get("whole")];
  const ratioOf = (quantity: keyof Measured) => median(whole.map((one, round) => one[quantity] / (bare[round]?.[quantity] ?? Number.NaN)));
  const [rate, cpu] = [ratioOf("perSecond"), ratioOf("cpuUs")];
  return [
    {
      name: "deliveries/s, commit to commit, against a bare loop of signed POSTs",
      value: rate,
      shown: `${rate.toFixed(2)} (${middle(whole, "perSecond")} against ${middle(bare, "perSecond")} a second, medians of ${rounds})`,
      bar: ">= 0.50",
      met: rate >= 0.5,
    },
    {
      name: "CPU per webhook, commit to commit, against the bare loop's per POST",
      value: cpu,
      shown: `${cpu.toFixed(2)} (${middle(whole, "cpuUs")} against ${middle(bare, "cpuUs")} us)`,
      bar: "<= 2.2",
      met: cpu <= 2.2,
    },
  ];
}

function middle(side: readonly Measured[], quantity: keyof Measured): number {
  return Math.round(median(side.map((one) => one[quantity])));
}

/** Adds the processor time of this process, all threads, for each delivery. */
async function withCpu(run: () => Promise<{ readonly count: number; readonly perSecond: number }>): Promise<Measured> {
  const before = await cpuSeconds(process.pid);
  const { count, perSecond } = await run();
  return { perSecond, cpuUs: (((await cpuSeconds(process.pid)) - before) / count) * 1e6 };
}

/** Calls of one round. Their registration is no part of a delivery, so it is not measured. */
function watchFresh(outbound: Outbound, sinkPort: number): Promise<readonly WatchedCall[]> {
  return outbound.watch(callsPerRound, `deliveries-${performance.now()}`, (index) => urlOf(sinkPort, index));
}

/** Transitions under way at once: the next is committed when one was delivered and recorded. */
async function deliverWhole(
  outbound: Outbound,
  calls: readonly WatchedCall[],
  roundMs: number,
): Promise<{ count: number; perSecond: number }> {
  const fresh = [...calls];
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
  return { count: delivered, perSecond: (delivered / (performance.now() - startedMs)) * 1000 };
}

async function postBare(port: number, roundMs: number): Promise<{ count: number; perSecond: number }> {
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
  return { count, perSecond: (count / (performance.now() - startedMs)) * 1000 };
}
