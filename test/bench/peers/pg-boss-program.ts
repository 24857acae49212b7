import { PgBoss } from "pg-boss";
import type { JobInsert } from "pg-boss";
import { Ends, callSidsOf, jobOfProcess, reportReady, webhookOf } from "./job.ts";
import type { Known, Webhook } from "./job.ts";

/*
 * The job as the documentation of pg-boss recommends for throughput: workers that fetch batches, without a pause while batches
 * are full, and a notification instead of a poll for deliveries. Its schedules know minutes only, so a poll inserts the next one,
 * which carries the status known by then. A batch of polls completes in one transaction with its next polls and with the
 * deliveries of its transitions (`transactional`). A delivery settles alone, and is tried again until the receiver takes it.
 */

type Poll = Known & { readonly callSid: string };

const workers = 4;
const [pollBatch, deliveryBatch, insertBatch] = [100, 50, 1000];
const job = jobOfProcess();
const ends = new Ends(job, { polls: workers * pollBatch, webhooks: workers * deliveryBatch });
/** Jobs of a killed process are active until they expire, which a monitor looks for. */
const boss = new PgBoss({
  connectionString: job.store,
  max: 20,
  schedule: false,
  useListenNotify: true,
  superviseIntervalSeconds: 1,
  monitorIntervalSeconds: 1,
});
boss.on("error", (error) => console.error(error));
await boss.start();
const expiry = { expireInSeconds: 5, retryLimit: 10, retryDelay: 1 };
await boss.createQueue("polls", { ...expiry, retryBackoff: false });
await boss.createQueue("deliveries", { ...expiry, retryBackoff: true, notify: true });

const fetching = { localConcurrency: workers, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true } as const;
await boss.work<Poll, unknown, { batchSize: number; transactional: true }>(
  "polls",
  { ...fetching, batchSize: pollBatch, transactional: true },
  async (jobs, tx) => {
    const webhooks: JobInsert<Webhook>[] = [];
    const next = await Promise.all(
      jobs.map(async ({ data }): Promise<JobInsert<Poll>> => {
        const startAfter = new Date(Date.now() + job.intervalMs);
        const answer = await ends.ask(data.callSid);
        if (answer.status === data.status) return { data, startAfter };
        webhooks.push({ data: webhookOf(data.callSid, data, answer) });
        return { data: { callSid: data.callSid, status: answer.status, sequence: data.sequence + 1 }, startAfter };
      }),
    );
    await boss.insert("polls", next, { db: tx });
    if (webhooks.length > 0) await boss.insert("deliveries", webhooks, { db: tx });
  },
);
await boss.work<Webhook, unknown, { batchSize: number; perJobResults: true }>(
  "deliveries",
  { ...fetching, batchSize: deliveryBatch, perJobResults: true },
  (jobs) =>
    Promise.all(
      jobs.map(async ({ id, data }) => {
        const status = await ends.post(data).then(
          () => "completed" as const,
          () => "failed" as const,
        );
        return { id, status };
      }),
    ),
);
const callSids = job.resumes ? [] : callSidsOf(job);
for (let from = 0; from < callSids.length; from += insertBatch)
  await boss.insert(
    "polls",
    callSids.slice(from, from + insertBatch).map((callSid) => ({ data: { callSid, status: null, sequence: 0 } })),
  );
reportReady();
