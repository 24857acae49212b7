import type { SendJob } from "../../../ports/stores/send-job.ts";
import { flag, integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import type { Transaction } from "../connection/transaction.ts";
import { lockEndpoints } from "./due-bounds.ts";
import { leaseJobs } from "./send-jobs.ts";

/*
 * A manual retry of a settled delivery is pending from its acceptance until its attempt is recorded. Its next_attempt_at is
 * set meanwhile and null for all other settled deliveries. If the instance that leased it is evicted, the next claim takes
 * it over.
 */

/** SQL condition on `deliveries`: a manual retry is pending and not leased. */
export const manualRetryPending = "status <> 'pending' and next_attempt_at is not null and lease_token is null";

/** Marks a settled delivery of a locked endpoint for one more attempt. A pending delivery keeps its schedule. */
export async function markForManualRetry(tx: Transaction, deliveryKey: number, nowMs: number): Promise<void> {
  await tx.run("update deliveries set next_attempt_at = $1 where id = $2 and status <> 'pending'", nowMs, deliveryKey);
}

/** Leases pending manual retries and clears those that cannot be sent any more. Costs one statement if there are none. */
export async function claimMarkedRetries(db: Database, limit: number, nowMs: number): Promise<readonly SendJob[]> {
  if (limit <= 0) return [];
  const found = await db.all(`select id, endpoint_id from deliveries where ${manualRetryPending} order by next_attempt_at limit $1`, limit);
  if (found.length === 0) return [];
  return db.ownerTransaction(async (tx, token) => {
    const [, rows] = await Promise.all([
      lockEndpoints(
        tx,
        found.map((row) => integer(row, "endpoint_id")),
      ),
      tx.all(
        `select d.id, p.state = 'disabled' or w.deleted_at is not null as is_over
         from (select * from deliveries where id = any($1) and ${manualRetryPending}) d
         join endpoints p on p.id = d.endpoint_id left join watches w on w.id = d.watch_id order by d.next_attempt_at`,
        found.map((row) => integer(row, "id")),
      ),
    ]);
    const keysOf = (isOver: boolean) => rows.filter((row) => flag(row, "is_over") === isOver).map((row) => integer(row, "id"));
    const [jobs] = await Promise.all([
      leaseJobs(tx, token, keysOf(false), "manual", nowMs),
      tx.run("update deliveries set next_attempt_at = null where id = any($1)", keysOf(true)),
    ]);
    return jobs;
  });
}
