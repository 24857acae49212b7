import type { SendJob } from "../../../ports/stores/send-job.ts";
import { flag, integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { isOfEnabled } from "../accounts/disabled-accounts.ts";
import type { Transaction } from "../connection/transaction.ts";
import { lockEndpoints } from "./due-bounds.ts";
import { leaseJobs } from "./send-jobs.ts";

/*
 * retry_accepted_at marks a delivery: a manual retry of it was accepted, and no attempt is recorded since. If the instance
 * that leased the delivery is evicted, the next claim takes it over, also if it is pending and its schedule is not due. A
 * settled delivery has a next_attempt_at meanwhile.
 */

/** SQL condition on `deliveries`: a manual retry is accepted and not leased, and its account is not disabled. */
export const manualRetryPending = `retry_accepted_at is not null and lease_token is null and ${isOfEnabled("account_id")}`;

/**
 * Marks a delivery of a locked endpoint for one manual attempt. A pending test is not marked: it has no schedule, and its
 * release cancels it.
 */
export async function markForManualRetry(tx: Transaction, deliveryKey: number, nowMs: number): Promise<void> {
  await tx.run(
    `update deliveries set retry_accepted_at = $1, next_attempt_at = case when status = 'pending' then next_attempt_at else $1 end
     where id = $2 and (status <> 'pending' or next_attempt_at is not null)`,
    nowMs,
    deliveryKey,
  );
}

/** Leases pending manual retries and clears those that cannot be sent any more. Costs one statement if there are none. */
export async function claimMarkedRetries(db: Database, limit: number, nowMs: number): Promise<readonly SendJob[]> {
  if (limit <= 0) return [];
  const found = await db.all(
    `select id, endpoint_id from deliveries where ${manualRetryPending} order by retry_accepted_at limit $1`,
    limit,
  );
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
         join endpoints p on p.id = d.endpoint_id left join watches w on w.id = d.watch_id order by d.retry_accepted_at`,
        found.map((row) => integer(row, "id")),
      ),
    ]);
    const keysOf = (isOver: boolean) => rows.filter((row) => flag(row, "is_over") === isOver).map((row) => integer(row, "id"));
    const [jobs] = await Promise.all([
      leaseJobs(
        tx,
        token,
        keysOf(false).map((key) => ({ key, mode: "manual" })),
        nowMs,
      ),
      tx.run(
        `update deliveries set retry_accepted_at = null, next_attempt_at = case when status = 'pending' then next_attempt_at end
         where id = any($1)`,
        keysOf(true),
      ),
    ]);
    return jobs;
  });
}
