import { setTimeout } from "node:timers/promises";
import { callSidsOf, jobOfProcess, reportReady, signedHeaders, statusPath, webhookOf } from "./job.ts";
import type { Status, Webhook } from "./job.ts";

// The first version that comes to mind: a timer and a `fetch` for each call, and retries in a loop. Nothing is durable.

const attempts = 10;
const retryMs = 1000;
const job = jobOfProcess();

for (const callSid of callSidsOf(job)) {
  let [status, sequence]: [string | null, number] = [null, 0];
  let busy = false;
  setInterval(() => {
    if (busy) return;
    busy = true;
    ask(callSid)
      .then((answer) => {
        if (answer.status === status) return;
        void deliver(webhookOf(callSid, { status, sequence }, answer));
        [status, sequence] = [answer.status, sequence + 1];
      })
      .catch(() => undefined)
      .finally(() => (busy = false));
  }, job.intervalMs);
}
reportReady();

async function ask(callSid: string): Promise<Status> {
  const answer = await fetch(`http://127.0.0.1:${job.upstreamPort}${statusPath(callSid)}`, { headers: { "x-polyai-auth-token": "bench" } });
  return (await answer.json()) as Status;
}

async function deliver(webhook: Webhook): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (attempt > 0) await setTimeout(retryMs);
    const sent = await fetch(`http://127.0.0.1:${job.sinkPort}${webhook.hook}`, {
      method: "POST",
      headers: signedHeaders(webhook),
      body: webhook.body,
    }).catch(() => null);
    await sent?.arrayBuffer();
    if (sent?.ok) return;
  }
}
