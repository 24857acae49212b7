import type { SendJob } from "../../../ports/stores/send-job.ts";
import type { Database } from "../connection/database.ts";
import { leaseJob } from "./send-jobs.ts";
import { text } from "../../sql/rows.ts";

/*
 * A retry by hand of a settled delivery is owed from its acceptance to the record of its attempt: its next_attempt_at says
 * so, which is null for all others that are settled. Whoever had it leased and is gone leaves it to the next claim.
 */

/** From now on one attempt is owed, if the delivery is settled; one that is pending is owed its schedule anyhow. */
export function markForManualRetry(db: Database, deliveryId: string, nowMs: number): void {
  db.run("update deliveries set next_attempt_at = ? where id = ? and status <> 'pending'", nowMs, deliveryId);
}

/** Leases those that nobody has leased; what can be sent no more is owed no more. */
export function claimMarkedRetries(db: Database, limit: number, nowMs: number): readonly SendJob[] {
  if (limit <= 0) return [];
  const rows = db.all(
    `select d.id, p.state = 'disabled' or w.deleted_at is not null as is_over
     from deliveries d join endpoints p on p.id = d.endpoint_id left join watches w on w.id = d.watch_id
     where d.status <> 'pending' and d.next_attempt_at is not null and d.lease_token is null order by d.next_attempt_at limit ?`,
    limit,
  );
  return rows.flatMap((row) => {
    if (row["is_over"] !== 1) return [leaseJob(db, text(row, "id"), "manual", nowMs)];
    db.run("update deliveries set next_attempt_at = null where id = ?", text(row, "id"));
    return [];
  });
}
