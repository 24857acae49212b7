import { newId } from "../../../domain/ids.ts";
import { endpointTestEvent } from "../../../domain/events/event.ts";
import type { CreateTestResult, DeliveryStore } from "../../../ports/stores/delivery-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { insertEvents } from "./event-rows.ts";
import { refreshDue } from "./due-bounds.ts";
import { leaseJobs } from "./send-jobs.ts";
import { text } from "../../sql/rows.ts";

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
