import { newId } from "../../../domain/ids.ts";
import { endpointTestEvent } from "../../../domain/events/event.ts";
import type { ClaimManualRetryResult, DeliveryStore, CreateTestResult } from "../../../ports/stores/delivery-store.ts";
import { text } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { readDeliveryView } from "../reading/selects.ts";
import { markForManualRetry } from "./manual-retries.ts";
import { lockEndpoints, refreshDue, freeLeasesHeld } from "./due-bounds.ts";
import { leaseJobs } from "./send-jobs.ts";
import { insertEvents } from "./event-rows.ts";

export const writes = { releaseDeliveries };
export const ownerWrites = { claimManualRetry, createTest };

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

export async function createTest(
  tx: Transaction,
  token: number,
  request: Parameters<DeliveryStore["createTest"]>[0],
): Promise<CreateTestResult> {
  const { accountId, endpointId, nowMs } = request;
  const row = await tx.get("select state from endpoints where id = $1 and account_id = $2 for no key update", endpointId, accountId);
  if (row === undefined) return { kind: "unknown" };
  if (row["state"] === "disabled") return { kind: "endpoint_disabled" };
  const event = endpointTestEvent(newId("evt", nowMs), accountId, nowMs);
  await insertEvents(tx, null, [
    { event, watchId: null, callSid: null, sequence: null, terminal: false, endpointIds: [endpointId], nowMs },
  ]);
  // One attempt and no schedule behind it: a test says how things stand now.
  const delivery = await tx.get(
    `update deliveries set due_at = null, next_attempt_at = null
     where event_position = (select position from events where id = $1) returning id`,
    event.id,
  );
  if (delivery === undefined) throw new Error("a test event has one delivery");
  const [job] = await leaseJobs(tx, token, [text(delivery, "id")], "manual", nowMs);
  if (job === undefined) throw new Error("a delivery just made can be leased");
  await refreshDue(tx, [endpointId]);
  return { kind: "claimed", job };
}

async function releaseDeliveries(tx: Transaction, ...[leases, nowMs]: Parameters<DeliveryStore["releaseDeliveries"]>): Promise<void> {
  if (leases.length > 0) await freeLeasesHeld(tx, leases, nowMs);
}
