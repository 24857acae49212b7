import type { ClaimManualRetryResult, DeliveryStore } from "../../../ports/stores/delivery-store.ts";
import type { Database } from "../connection/database.ts";
import { markForManualRetry } from "./manual-retries.ts";
import { leaseJob } from "./send-jobs.ts";
import { readDeliveryView } from "../reading/selects.ts";

/** Ahead of schedule, pause and order; never of one that is on the wire. */
export function claimManualRetry(db: Database, request: Parameters<DeliveryStore["claimManualRetry"]>[0]): ClaimManualRetryResult {
  const row = db.get(
    `select d.lease_token, p.state as endpoint_state, w.deleted_at from deliveries d join endpoints p on p.id = d.endpoint_id
     left join watches w on w.id = d.watch_id where d.id = ? and d.account_id = ?`,
    request.deliveryId,
    request.accountId,
  );
  if (row === undefined) return { kind: "unknown" };
  if (typeof row["deleted_at"] === "number") return { kind: "watch_deleted" };
  if (row["endpoint_state"] === "disabled") return { kind: "endpoint_disabled" };
  if (row["lease_token"] !== null) return { kind: "in_flight" };
  markForManualRetry(db, request.deliveryId, request.nowMs);
  const job = leaseJob(db, request.deliveryId, "manual", request.nowMs);
  const view = readDeliveryView(db, request.accountId, request.deliveryId);
  return view === null ? { kind: "unknown" } : { kind: "claimed", job, view };
}
