import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { Pool } from "undici";
import { generateSecret, hmacKeyOf, signWebhook } from "../../src/domain/webhooks/signature.ts";

/*
 * The same job as an expert of BullMQ would build it: a job scheduler for each call that polls it, the status it had
 * last in a hash, and for a transition a job of its own that is tried again until the receiver takes it. A webhook is pending
 * (with an id that says which transition it is) before the hash says that it was seen, so that a crash loses none and
 * makes none twice. Jobs that are done are gone at once; failed deliveries stay.
 *
 * It is forked with the ports of Redis, the upstream and the sink, how many calls there are and how often each is polled.
 */

type PollJob = { readonly callSid: string; readonly hook: string };
type Delivery = { readonly id: string; readonly hook: string; readonly body: string };

const pollConcurrency = 100;
/** A worker takes jobs one by one up to this number and starts none before: more of them would only wait longer. */
const deliveryConcurrency = 20;
const schedulersAtOnce = 500;
const endpoints = 100;
const [redisPort, upstreamPort, sinkPort, calls, intervalMs] = process.argv.slice(2).map(Number) as [
  number,
  number,
  number,
  number,
  number,
];

/** Each queue and worker has connections of its own: none waits behind another's commands. */
const connection = { host: "127.0.0.1", port: redisPort };
const state = new Redis(connection);
const upstream = new Pool(`http://127.0.0.1:${upstreamPort}`, { connections: pollConcurrency, pipelining: 1, allowH2: false });
const sink = new Pool(`http://127.0.0.1:${sinkPort}`, { connections: deliveryConcurrency, pipelining: 1, allowH2: false });
const hmac = [hmacKeyOf(generateSecret())];

const polls = new Queue<PollJob>("polls", { connection });
const deliveries = new Queue<Delivery>("deliveries", {
  connection,
  defaultJobOptions: { attempts: 10, backoff: { type: "exponential", delay: 5000 }, removeOnComplete: true },
});

const poller = new Worker<PollJob>("polls", async ({ data }) => poll(data), { connection, concurrency: pollConcurrency });
const deliverer = new Worker<Delivery>("deliveries", async ({ data }) => deliver(data), { connection, concurrency: deliveryConcurrency });
for (const worker of [poller, deliverer]) worker.on("error", (error) => console.error(error));

async function poll({ callSid, hook }: PollJob): Promise<void> {
  const key = `call:${callSid}`;
  const [answer, [known = null, sequence = null]] = await Promise.all([ask(callSid), state.hmget(key, "status", "sequence")]);
  if (answer.status === known) return;
  const next = Number(sequence ?? 0) + 1;
  const id = `evt_${callSid}-${next}`;
  const observedAt = new Date().toISOString();
  const body = JSON.stringify({
    type: `call.${answer.status}`,
    timestamp: observedAt,
    data: {
      watch_id: callSid,
      call_sid: callSid,
      source: "default",
      status: answer.status,
      previous_status: known,
      reason: answer.reason,
      terminal: false,
      sequence: next,
      observed_at: observedAt,
      observed_after: null,
      metadata: {},
    },
  });
  await deliveries.add("deliver", { id, hook, body }, { jobId: id });
  await state.hset(key, { status: answer.status, reason: answer.reason, sequence: next });
}

async function ask(callSid: string): Promise<{ readonly status: string; readonly reason: string }> {
  const { statusCode, body } = await upstream.request({
    path: `/moving/v1/outbound-calling/${callSid}/status`,
    method: "GET",
    headers: { "x-polyai-auth-token": "bench" },
  });
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`the upstream answers ${statusCode}`);
  return JSON.parse(text) as { status: string; reason: string };
}

async function deliver({ id, hook, body }: Delivery): Promise<void> {
  const timestampSeconds = Math.floor(Date.now() / 1000);
  const answer = await sink.request({
    path: hook,
    method: "POST",
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": String(timestampSeconds),
      "webhook-signature": signWebhook({ id, timestampSeconds, body }, { hmac, ed25519: null }),
    },
    body,
  });
  await answer.body.dump();
  if (answer.statusCode < 200 || answer.statusCode > 299) throw new Error(`the receiver answers ${answer.statusCode}`);
}

await Promise.all([poller.waitUntilReady(), deliverer.waitUntilReady()]);
for (let from = 0; from < calls; from += schedulersAtOnce)
  await Promise.all(
    Array.from({ length: Math.min(schedulersAtOnce, calls - from) }, (_, offset) => {
      const callSid = `OUT-bench-${from + offset}`;
      const data = { callSid, hook: `/hooks/${(from + offset) % endpoints}` };
      return polls.upsertJobScheduler(
        callSid,
        { every: intervalMs },
        { name: "poll", data, opts: { removeOnComplete: true, removeOnFail: true } },
      );
    }),
  );
process.send?.({ port: 0 });
process.on("SIGTERM", () => process.exit(0));
process.on("disconnect", () => process.exit(0));
