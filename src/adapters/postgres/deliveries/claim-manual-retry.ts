import type { ClaimManualRetryResult, DeliveryStore } from "../../../ports/stores/delivery-store.ts";
import type { Transaction } from "../connection/database.ts";
import { markForManualRetry } from "./manual-retries.ts";
import { lockEndpoints } from "./due-bounds.ts";
import { leaseJobs } from "./send-jobs.ts";
import { text } from "../../sql/rows.ts";
import { readDeliveryView } from "../reading/selects.ts";

/** Ahead of schedule, pause and order; never of one that is on the wire. */
export async function claimManualRetry(
  tx: Transaction,
  token: number,
  request: Parameters<DeliveryStore["claimManualRetry"]>[0],
): Promise<ClaimManualRetryResult> {
  const { accountId, deliveryId, nowMs } = request;
  const known = await tx.get("select endpoint_id from deliveries where id = $1 and account_id = $2", deliveryId, accountId);
  if (known === undefined) return { kind: "unknown" };
  const [, row] = await Promise.all([
    lockEndpoints(tx, [text(known, "endpoint_id")]),
    tx.get(
      `select i.token, p.state as endpoint_state, w.deleted_at from deliveries d join endpoints p on p.id = d.endpoint_id
       left join watches w on w.id = d.watch_id left join instances i on d.lease_token is not null and i.token = d.lease_owner where d.id = $1`,
      deliveryId,
    ),
  ]);
  if (row === undefined) return { kind: "unknown" };
  if (row["deleted_at"] !== null) return { kind: "watch_deleted" };
  if (row["endpoint_state"] === "disabled") return { kind: "endpoint_disabled" };
  if (row["token"] !== null) return { kind: "in_flight" };
  await markForManualRetry(tx, deliveryId, nowMs);
  const [job] = await leaseJobs(tx, token, [deliveryId], "manual", nowMs);
  const view = await readDeliveryView(tx, accountId, deliveryId);
  return job === undefined || view === null ? { kind: "unknown" } : { kind: "claimed", job, view };
}
