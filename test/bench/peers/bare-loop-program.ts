import { Ends, callSidsOf, jobOfProcess, reportReady, webhookOf } from "./job.ts";
import type { Known, Webhook } from "./job.ts";

/*
 * The least that does the job: one timer for all calls, kept connections, one POST for a transition, tried again from memory.
 * Nothing is durable and nothing is limited. It is the floor that the others are compared with.
 */

const tickMs = 4;
const retryMs = 1000;
const connections = { polls: 128, webhooks: 128 };
const job = jobOfProcess();
const ends = new Ends(job, connections);
const callSids = callSidsOf(job);
const known = new Map<string, Known>(callSids.map((callSid) => [callSid, { status: null, sequence: 0 }]));

/** Polls of calls under way. A call that is due while it is being polled is skipped, as many are once the loop is saturated. */
const busy = new Set<string>();
let next = 0;
const startedMs = performance.now();

setInterval(() => {
  const due = Math.floor(((performance.now() - startedMs) / job.intervalMs) * job.calls);
  // Not more than one round is made up for.
  next = Math.max(next, due - job.calls);
  for (; next < due; next++) poll(callSids[next % job.calls] ?? "");
}, tickMs);
reportReady();

function poll(callSid: string): void {
  if (busy.has(callSid)) return;
  busy.add(callSid);
  ends
    .ask(callSid)
    .then((answer) => {
      const before = known.get(callSid) ?? { status: null, sequence: 0 };
      if (answer.status === before.status) return;
      known.set(callSid, { status: answer.status, sequence: before.sequence + 1 });
      send(webhookOf(callSid, before, answer));
    })
    .catch(() => undefined)
    .finally(() => busy.delete(callSid));
}

function send(webhook: Webhook): void {
  ends.post(webhook).catch(() => setTimeout(() => send(webhook), retryMs));
}
