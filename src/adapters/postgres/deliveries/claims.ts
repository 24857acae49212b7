import { recordAudit } from "../../sql/audit/audit.ts";
import { deliveryRetried } from "../../sql/audit/entries.ts";
import { decodeId, newId } from "../../../domain/ids.ts";
import { endpointTestEvent } from "../../../domain/events/event.ts";
import type { ClaimManualRetryResult, DeliveryStore, CreateTestResult } from "../../../ports/stores/delivery-store.ts";
import { integer } from "../../sql/rows.ts";
import type { Row } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { hasEventId, readDeliveryView } from "../reading/selects.ts";
import { lockLanes, settleMarked } from "../marks/marked-deliveries.ts";
import { markForManualRetry } from "./manual-retries.ts";
import { lockEndpoints, refreshDue } from "./due-bounds.ts";
import { leaseJobs } from "./send-jobs.ts";
import { insertEvents } from "./event-rows.ts";

export const writes = { releaseDeliveries };
export const ownerWrites = { claimManualRetry, createTest };

type HeldLease = Parameters<DeliveryStore["releaseDeliveries"]>[0][number];

/** Claims a delivery for a manual attempt, regardless of schedule, pause and order, unless an attempt is in flight. */
export async function claimManualRetry(
  tx: Transaction,
  token: number,
  request: Parameters<DeliveryStore["claimManualRetry"]>[0],
): Promise<ClaimManualRetryResult> {
  const { nowMs } = request;
  const accountKey = decodeId(request.accountId);
  const deliveryKey = decodeId(request.deliveryId);
  const delivery = await tx.get(
    `select d.endpoint_id, d.watch_id, exists (select 1 from marks where account_id = $2) as has_marks
     from deliveries d left join watches w on w.id = d.watch_id where d.id = $1 and d.account_id = $2 and w.status is distinct from 'purged'`,
    deliveryKey,
    accountKey,
  );
  if (delivery === undefined) return { kind: "unknown" };
  if (delivery["has_marks"] === true) await lockLanes(tx, [deliveryKey], []);
  const [, row] = await Promise.all([
    lockEndpoints(tx, [integer(delivery, "endpoint_id")]),
    tx.get(
      `select i.token, p.state as endpoint_state, w.deleted_at from deliveries d join endpoints p on p.id = d.endpoint_id
       left join watches w on w.id = d.watch_id left join instances i on d.lease_token is not null and i.token = d.lease_owner where d.id = $1`,
      deliveryKey,
    ),
  ]);
  if (row === undefined) return { kind: "unknown" };
  if (row["deleted_at"] !== null) return { kind: "watch_deleted" };
  if (row["endpoint_state"] === "disabled") return { kind: "endpoint_disabled" };
  if (row["token"] !== null) return { kind: "in_flight" };
  if (delivery["has_marks"] === true) await settleMarked(tx, accountKey, [deliveryKey], nowMs);
  await markForManualRetry(tx, deliveryKey, nowMs);
  const [job] = await leaseJobs(tx, token, [{ key: deliveryKey, mode: "manual" }], nowMs);
  const view = await readDeliveryView(tx, accountKey, deliveryKey);
  if (job !== undefined && view !== null) await recordAudit(tx, request.by, deliveryRetried(request));
  return job === undefined || view === null ? { kind: "unknown" } : { kind: "claimed", job, view };
}

/** Creates a test event of an endpoint and claims its only delivery. */
export async function createTest(
  tx: Transaction,
  token: number,
  request: Parameters<DeliveryStore["createTest"]>[0],
): Promise<CreateTestResult> {
  const { accountId, endpointId, nowMs } = request;
  const endpointKey = decodeId(endpointId);
  const row = await tx.get(
    "select state from endpoints where id = $1 and account_id = $2 for no key update",
    endpointKey,
    decodeId(accountId),
  );
  if (row === undefined) return { kind: "unknown" };
  if (row["state"] === "disabled") return { kind: "endpoint_disabled" };
  const event = endpointTestEvent(newId("evt", nowMs), accountId, nowMs);
  await insertEvents(tx, null, [
    { event, watchId: null, callSid: null, sequence: null, terminal: false, trace: null, endpointIds: [endpointId], nowMs },
  ]);
  // A test shows the current state of the endpoint, so it has one attempt and no schedule.
  const delivery = await tx.get(
    `update deliveries set due_at = null, next_attempt_at = null
     where event_position = (select position from events where ${hasEventId("id", "$1")}) returning id`,
    event.id,
  );
  if (delivery === undefined) throw new Error("the test event has no delivery");
  const [job] = await leaseJobs(tx, token, [{ key: integer(delivery, "id"), mode: "manual" }], nowMs);
  if (job === undefined) throw new Error("the delivery of the test event cannot be leased");
  await refreshDue(tx, [endpointKey]);
  return { kind: "claimed", job };
}

/** Releases the leases that are still held, so that the deliveries are due again. */
async function releaseDeliveries(tx: Transaction, leases: readonly HeldLease[], nowMs: number): Promise<void> {
  if (leases.length === 0) return;
  const deliveryKeys = leases.map(({ deliveryId }) => decodeId(deliveryId));
  const rows = await tx.all("select distinct endpoint_id from deliveries where id = any($1)", deliveryKeys);
  const endpointKeys = await lockEndpointsOf(tx, rows);
  const held = await tx.all(
    "select d.id from deliveries d join unnest($1::bigint[], $2::bigint[]) as u(id, lease_token) on d.id = u.id and d.lease_token = u.lease_token",
    deliveryKeys,
    leases.map(({ leaseToken }) => leaseToken),
  );
  await clearLeases(tx, held, endpointKeys, nowMs);
}

/** Releases the leases of evicted instances, so that the deliveries are due again. */
export async function releaseLeasesOf(tx: Transaction, tokens: readonly number[], nowMs: number): Promise<void> {
  const rows = await tx.all("select distinct endpoint_id from deliveries where lease_owner = any($1) and lease_token is not null", tokens);
  const endpointKeys = await lockEndpointsOf(tx, rows);
  const held = await tx.all(
    "select id from deliveries where lease_owner = any($1) and lease_token is not null and endpoint_id = any($2)",
    tokens,
    endpointKeys,
  );
  await clearLeases(tx, held, endpointKeys, nowMs);
}

async function lockEndpointsOf(tx: Transaction, deliveries: readonly Row[]): Promise<readonly number[]> {
  const endpointKeys = deliveries.map((row) => integer(row, "endpoint_id"));
  await lockEndpoints(tx, endpointKeys);
  return endpointKeys;
}

/** Clears leases of deliveries whose endpoints are locked. A pending test has no schedule, so it is canceled; other deliveries are due as before. */
async function clearLeases(tx: Transaction, deliveries: readonly Row[], endpointKeys: readonly number[], nowMs: number): Promise<void> {
  if (deliveries.length === 0) return;
  await tx.run(
    `update deliveries set lease_owner = null, lease_token = null,
       status = case when status = 'pending' and next_attempt_at is null then 'canceled' else status end,
       settled_at = case when status = 'pending' and next_attempt_at is null then $2 else settled_at end
     where id = any($1)`,
    deliveries.map((row) => integer(row, "id")),
    nowMs,
  );
  await refreshDue(tx, endpointKeys);
  tx.changed.add("deliveries");
}
