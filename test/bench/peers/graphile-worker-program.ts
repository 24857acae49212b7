import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { Ends, callSidsOf, jobOfProcess, reportReady, webhookOf } from "./job.ts";
import type { Known, Webhook } from "./job.ts";

/*
 * The job as the documentation of graphile-worker recommends for throughput: a local queue and batched completions (its page on
 * performance). Its crontab knows minutes only, so a poll adds the next one, which carries the status known by then, and the
 * delivery of a transition in the same statement. A delivery is tried again until the receiver takes it.
 */

type Poll = Known & { readonly callSid: string };

const concurrentJobs = 48;
const job = jobOfProcess();
const ends = new Ends(job, { polls: concurrentJobs, webhooks: concurrentJobs });
const worker = {
  connectionString: job.store,
  concurrentJobs,
  maxPoolSize: concurrentJobs + 2,
  pollInterval: 100,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
};
/** A refused delivery is an error in its log, and expected. */
const logger = new Logger(() => () => undefined);
const utils = await makeWorkerUtils({ connectionString: job.store, logger });
await utils.migrate();
if (job.resumes) await unlockKilled();
else
  await utils.addJobs(
    callSidsOf(job).map((callSid) => ({ identifier: "poll", payload: { callSid, status: null, sequence: 0 }, job_key: callSid })),
  );
await run({
  preset: { worker: { ...worker, logger } },
  noHandleSignals: true,
  taskList: {
    poll: async (payload, helpers) => {
      const poll = payload as Poll;
      const runAt = new Date(Date.now() + job.intervalMs).toISOString();
      const answer = await ends.ask(poll.callSid);
      const isNew = answer.status !== poll.status;
      const next = isNew ? { ...poll, status: answer.status, sequence: poll.sequence + 1 } : poll;
      const jobs = [{ identifier: "poll", payload: next as object, job_key: poll.callSid, run_at: runAt, priority: 0 }];
      if (!isNew) return void (await helpers.addJobs(jobs));
      const webhook = webhookOf(poll.callSid, poll, answer);
      // Deliveries run before polls.
      const delivery = { identifier: "deliver", payload: webhook, job_key: webhook.id, run_at: new Date(0).toISOString(), priority: -1 };
      await helpers.addJobs([...jobs, delivery]);
    },
    deliver: (payload) => ends.post(payload as Webhook),
  },
});
reportReady();

/** Jobs of a killed process stay locked for four hours, unless an operator unlocks them. There is no other process here. */
async function unlockKilled(): Promise<void> {
  const client = new pg.Client({ connectionString: job.store });
  await client.connect();
  const { rows } = await client.query<{ id: string }>(
    "select distinct locked_by as id from graphile_worker.jobs where locked_by is not null",
  );
  await client.end();
  await utils.forceUnlockWorkers(rows.map(({ id }) => id));
}
