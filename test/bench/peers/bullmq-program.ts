import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { Ends, callSidsOf, jobOfProcess, reportReady, webhookOf } from "./job.ts";
import type { Webhook } from "./job.ts";

/*
 * The job as an expert of BullMQ would build it: a job scheduler for each call that polls it, the status it had last in a hash, and
 * for a transition a job of its own that is tried again until the receiver takes it. A webhook is pending (with an id that says
 * which transition it is) before the hash says that it was seen, so that a crash loses none and makes none twice. Jobs that
 * are done are gone at once; failed deliveries stay.
 */

const pollConcurrency = 100;
/** A worker takes jobs one by one up to this number and starts none before: more of them would only wait longer. */
const deliveryConcurrency = 20;
const schedulersAtOnce = 500;
/** How long jobs of a killed worker stay locked, and how often they are looked for. */
const stalledMs = 5000;
const job = jobOfProcess();
const ends = new Ends(job, { polls: pollConcurrency, webhooks: deliveryConcurrency });

/** Each queue and worker has connections of its own: none waits behind another's commands. */
const connection = { host: "127.0.0.1", port: Number(job.store) };
const state = new Redis(connection);
const polls = new Queue<{ readonly callSid: string }>("polls", { connection });
const deliveries = new Queue<Webhook>("deliveries", {
  connection,
  defaultJobOptions: { attempts: 10, backoff: { type: "exponential", delay: 1000 }, removeOnComplete: true },
});

const shared = { connection, lockDuration: stalledMs, stalledInterval: stalledMs, maxStalledCount: 100 };
const poller = new Worker<{ readonly callSid: string }>("polls", async ({ data }) => poll(data.callSid), {
  ...shared,
  concurrency: pollConcurrency,
});
const deliverer = new Worker<Webhook>("deliveries", async ({ data }) => ends.post(data), { ...shared, concurrency: deliveryConcurrency });
for (const worker of [poller, deliverer]) worker.on("error", (error) => console.error(error));

async function poll(callSid: string): Promise<void> {
  const key = `call:${callSid}`;
  const [answer, [status = null, sequence = null]] = await Promise.all([ends.ask(callSid), state.hmget(key, "status", "sequence")]);
  if (answer.status === status) return;
  const webhook = webhookOf(callSid, { status, sequence: Number(sequence ?? 0) }, answer);
  await deliveries.add("deliver", webhook, { jobId: webhook.id });
  await state.hset(key, { status: answer.status, sequence: Number(sequence ?? 0) + 1 });
}

await Promise.all([poller.waitUntilReady(), deliverer.waitUntilReady()]);
const callSids = callSidsOf(job);
for (let from = 0; from < callSids.length && !job.resumes; from += schedulersAtOnce)
  await Promise.all(
    callSids.slice(from, from + schedulersAtOnce).map((callSid) => {
      const opts = { removeOnComplete: true, removeOnFail: true };
      return polls.upsertJobScheduler(callSid, { every: job.intervalMs }, { name: "poll", data: { callSid }, opts });
    }),
  );
reportReady();
