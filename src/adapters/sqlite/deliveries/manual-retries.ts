import type { SendJob } from "../../../ports/stores/send-job.ts";
import { integer } from "../../sql/rows.ts";
import { isOfEnabled } from "../accounts/disabled-accounts.ts";
import type { Database } from "../connection/database.ts";
import { leaseJob } from "./send-jobs.ts";

/*
 * retry_accepted_at marks a delivery: a manual retry of it was accepted, and no attempt is recorded since. If the process
 * that leased the delivery ends, the next claim leases it again, also if it is pending and its schedule is not due. A settled
 * delivery has a next_attempt_at meanwhile.
 */

/**
 * Marks a delivery for one manual attempt. A pending test is not marked: it has no schedule, and its release cancels it.
 */
export function markForManualRetry(db: Database, deliveryKey: number, nowMs: number): void {
  db.run(
    `update deliveries set retry_accepted_at = ?1, next_attempt_at = case when status = 'pending' then next_attempt_at else ?1 end
     where id = ?2 and (status <> 'pending' or next_attempt_at is not null)`,
    nowMs,
    deliveryKey,
  );
}

/** Leases the marked deliveries that are not leased. Removes the mark instead if the endpoint is disabled or the watch deleted. */
export function claimMarkedRetries(db: Database, limit: number, nowMs: number): readonly SendJob[] {
  if (limit <= 0) return [];
  const rows = db.all(
    `select d.id, p.state = 'disabled' or w.deleted_at is not null as is_over
     from deliveries d join endpoints p on p.id = d.endpoint_id left join watches w on w.id = d.watch_id
     where d.retry_accepted_at is not null and d.lease_token is null and ${isOfEnabled("d.account_id")} order by d.retry_accepted_at limit ?`,
    limit,
  );
  return rows.flatMap((row) => {
    if (row["is_over"] !== 1) return [leaseJob(db, integer(row, "id"), "manual", nowMs)];
    db.run(
      `update deliveries set retry_accepted_at = null, next_attempt_at = case when status = 'pending' then next_attempt_at end
       where id = ?`,
      integer(row, "id"),
    );
    return [];
  });
}
