import { newId } from "../../../domain/ids.ts";
import { endpointTestEvent } from "../../../domain/events/event.ts";
import type { CreateTestResult, DeliveryStore } from "../../../ports/stores/delivery-store.ts";
import type { Database } from "../connection/database.ts";
import { insertEvent } from "./event-rows.ts";
import { leaseJob } from "./send-jobs.ts";
import { text } from "../../sql/rows.ts";

export function createTest(db: Database, request: Parameters<DeliveryStore["createTest"]>[0]): CreateTestResult {
  const { accountId, endpointId, nowMs } = request;
  const row = db.get("select state from endpoints where id = ? and account_id = ?", endpointId, accountId);
  if (row === undefined) return { kind: "unknown" };
  if (row["state"] === "disabled") return { kind: "endpoint_disabled" };
  const event = endpointTestEvent(newId("evt", nowMs), accountId, nowMs);
  insertEvent(db, { event, watchId: null, callSid: null, sequence: null, terminal: false }, [endpointId], nowMs);
  const delivery = db.get("select d.id from deliveries d join events e on e.position = d.event_position where e.id = ?", event.id);
  if (delivery === undefined) throw new Error("a test event has one delivery");
  // One attempt and no schedule behind it: a test says how things stand now.
  db.run("update deliveries set due_at = null, next_attempt_at = null where id = ?", text(delivery, "id"));
  return { kind: "claimed", job: leaseJob(db, text(delivery, "id"), "manual", nowMs) };
}
