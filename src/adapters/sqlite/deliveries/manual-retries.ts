import type { SendJob } from "../../../ports/stores/send-job.ts";
import { integer } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { leaseJob } from "./send-jobs.ts";

/*
 * A settled delivery with a next_attempt_at is marked: a manual retry of it was accepted, and its attempt is not recorded
 * yet. If the process that leased the delivery ends, the next claim leases it again.
 */

/** Marks a settled delivery for one manual attempt. A pending delivery needs no mark, because its schedule covers it. */
export function markForManualRetry(db: Database, deliveryKey: number, nowMs: number): void {
  db.run("update deliveries set next_attempt_at = ? where id = ? and status <> 'pending'", nowMs, deliveryKey);
}

/** Leases the marked deliveries that are not leased. Removes the mark instead if the endpoint is disabled or the watch deleted. */
export function claimMarkedRetries(db: Database, limit: number, nowMs: number): readonly SendJob[] {
  if (limit <= 0) return [];
  const rows = db.all(
    `select d.id, p.state = 'disabled' or w.deleted_at is not null as is_over
     from deliveries d join endpoints p on p.id = d.endpoint_id left join watches w on w.id = d.watch_id
     where d.status <> 'pending' and d.next_attempt_at is not null and d.lease_token is null order by d.next_attempt_at limit ?`,
    limit,
  );
  return rows.flatMap((row) => {
    if (row["is_over"] !== 1) return [leaseJob(db, integer(row, "id"), "manual", nowMs)];
    db.run("update deliveries set next_attempt_at = null where id = ?", integer(row, "id"));
    return [];
  });
}
