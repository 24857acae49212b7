import { recordAudit } from "../../sql/audit/audit.ts";
import { deliveryRetried } from "../../sql/audit/entries.ts";
import { endpointTestEvent } from "../../../domain/events/event.ts";
import { decodeId, newId } from "../../../domain/ids.ts";
import type { ClaimManualRetryResult, CreateTestResult, DeliveryStore } from "../../../ports/stores/delivery-store.ts";
import { integer } from "../../sql/rows.ts";
import { deliveryViewOf } from "../../sql/view-rows.ts";
import type { Database, Row } from "../connection/database.ts";
import { deliverySelect } from "../reading/selects.ts";
import { settleMarked } from "../marks/marked-deliveries.ts";
import { runningMarks } from "../marks/set-mark.ts";
import { refreshDue } from "./due-bounds.ts";
import { insertEvent } from "./event-rows.ts";
import { markForManualRetry } from "./manual-retries.ts";
import { leaseJob } from "./send-jobs.ts";

export const writes = { claimManualRetry, createTest, releaseDeliveries };

/** Leases a delivery ahead of schedule, pause and order, unless an attempt of it is in flight. */
function claimManualRetry(db: Database, request: Parameters<DeliveryStore["claimManualRetry"]>[0]): ClaimManualRetryResult {
  const deliveryKey = decodeId(request.deliveryId);
  const row = db.get(
    `select d.lease_token, p.state as endpoint_state, w.deleted_at from deliveries d join endpoints p on p.id = d.endpoint_id
     left join watches w on w.id = d.watch_id where d.id = ? and d.account_id = ? and w.status is not 'purged'`,
    deliveryKey,
    decodeId(request.accountId),
  );
  if (row === undefined) return { kind: "unknown" };
  if (typeof row["deleted_at"] === "number") return { kind: "watch_deleted" };
  if (row["endpoint_state"] === "disabled") return { kind: "endpoint_disabled" };
  if (row["lease_token"] !== null) return { kind: "in_flight" };
  if (runningMarks(db, decodeId(request.accountId)).length > 0) settleMarked(db, decodeId(request.accountId), [deliveryKey], request.nowMs);
  markForManualRetry(db, deliveryKey, request.nowMs);
  const job = leaseJob(db, deliveryKey, "manual", request.nowMs);
  const claimed = db.get(`${deliverySelect} where d.id = ?`, deliveryKey);
  if (claimed !== undefined) void recordAudit(db, request.by, deliveryRetried(request));
  return claimed === undefined ? { kind: "unknown" } : { kind: "claimed", job, view: deliveryViewOf(claimed) };
}

function createTest(db: Database, request: Parameters<DeliveryStore["createTest"]>[0]): CreateTestResult {
  const { accountId, endpointId, nowMs } = request;
  const row = db.get("select state from endpoints where id = ? and account_id = ?", decodeId(endpointId), decodeId(accountId));
  if (row === undefined) return { kind: "unknown" };
  if (row["state"] === "disabled") return { kind: "endpoint_disabled" };
  const event = endpointTestEvent(newId("evt", nowMs), accountId, nowMs);
  insertEvent(db, { event, watchId: null, callSid: null, sequence: null, terminal: false, trace: null }, [endpointId], nowMs);
  const delivery = db.get("select d.id from deliveries d join events e on e.position = d.event_position where e.id = ?", event.id);
  if (delivery === undefined) throw new Error("a test event has one delivery");
  // A test has a single attempt and no schedule, because it shows the endpoint's present state.
  db.run("update deliveries set due_at = null, next_attempt_at = null where id = ?", integer(delivery, "id"));
  return { kind: "claimed", job: leaseJob(db, integer(delivery, "id"), "manual", nowMs) };
}

function releaseDeliveries(db: Database, ...[leases, nowMs]: Parameters<DeliveryStore["releaseDeliveries"]>): void {
  const leased = leases
    .map(({ deliveryId, leaseToken }) =>
      db.get(
        "select id, endpoint_id, status, next_attempt_at from deliveries where id = ? and lease_token = ?",
        decodeId(deliveryId),
        leaseToken,
      ),
    )
    .filter((row): row is Row => row !== undefined);
  releaseLeases(db, leased, nowMs);
}

/** Releases every lease, at the start of a server: the process that held them has ended. */
export function clearLeases(db: Database, nowMs: number): void {
  const leased = db.all("select id, endpoint_id, status, next_attempt_at from deliveries where lease_token is not null");
  releaseLeases(db, leased, nowMs);
}

/** Releases leases. Tests are canceled, because a test is never retried; every other delivery is due as before. */
function releaseLeases(db: Database, leased: readonly Row[], nowMs: number): void {
  const endpointKeys = new Set<number>();
  for (const row of leased) {
    const isTest = row["status"] === "pending" && row["next_attempt_at"] === null;
    if (isTest) {
      db.run("update deliveries set lease_token = null, status = 'canceled', settled_at = ? where id = ?", nowMs, integer(row, "id"));
      db.counters.countDeliveries("pending", "canceled");
    } else {
      db.run("update deliveries set lease_token = null where id = ?", integer(row, "id"));
      if (row["status"] === "pending") db.counters.countUnleased(integer(row, "endpoint_id"), 1);
    }
    endpointKeys.add(integer(row, "endpoint_id"));
  }
  for (const endpointKey of endpointKeys) refreshDue(db, endpointKey);
}
