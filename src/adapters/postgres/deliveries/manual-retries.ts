import type { SendJob } from "../../../ports/stores/send-job.ts";
import type { Database, Transaction } from "../connection/database.ts";
import { lockEndpoints } from "./due-bounds.ts";
import { leaseJobs } from "./send-jobs.ts";
import { flag, text } from "../../sql/rows.ts";

/*
 * A retry by hand of a settled delivery is owed from its acceptance to the record of its attempt: its next_attempt_at says
 * so, which is null for all others that are settled. Whoever had it leased and is gone leaves it to the next claim.
 */

/** Of `deliveries`: those that nobody has leased. */
export const manualRetryPending = "status <> 'pending' and next_attempt_at is not null and lease_token is null";

/** From now on one attempt is owed, if the delivery (of a locked endpoint) is settled; one that is pending is owed its schedule anyhow. */
export async function markForManualRetry(tx: Transaction, deliveryId: string, nowMs: number): Promise<void> {
  await tx.run("update deliveries set next_attempt_at = $1 where id = $2 and status <> 'pending'", nowMs, deliveryId);
}

/** Leases those that nobody has leased; what can be sent no more is owed no more. Where there are none it is one statement. */
export async function claimMarkedRetries(db: Database, limit: number, nowMs: number): Promise<readonly SendJob[]> {
  if (limit <= 0) return [];
  const seen = await db.all(`select id, endpoint_id from deliveries where ${manualRetryPending} order by next_attempt_at limit $1`, limit);
  if (seen.length === 0) return [];
  return db.ownerTransaction(async (tx, token) => {
    const [, rows] = await Promise.all([
      lockEndpoints(
        tx,
        seen.map((row) => text(row, "endpoint_id")),
      ),
      tx.all(
        `select d.id, p.state = 'disabled' or w.deleted_at is not null as is_over
         from (select * from deliveries where id = any($1) and ${manualRetryPending}) d
         join endpoints p on p.id = d.endpoint_id left join watches w on w.id = d.watch_id order by d.next_attempt_at`,
        seen.map((row) => text(row, "id")),
      ),
    ]);
    const idsOf = (isOver: boolean) => rows.filter((row) => flag(row, "is_over") === isOver).map((row) => text(row, "id"));
    const [jobs] = await Promise.all([
      leaseJobs(tx, token, idsOf(false), "manual", nowMs),
      tx.run("update deliveries set next_attempt_at = null where id = any($1)", idsOf(true)),
    ]);
    return jobs;
  });
}
