import { decodeId } from "../../../domain/ids.ts";
import type { DeliveryStore } from "../../../ports/stores/delivery-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { lockEndpoints } from "./due-bounds.ts";
import { requeue } from "./lanes.ts";

export const writes = { recover };

/** Requeues the failed deliveries of a period. Pending, delivered and in-flight ones stay as they are, so a second call recovers nothing twice. */
export async function recover(tx: Transaction, request: Parameters<DeliveryStore["recover"]>[0]): ReturnType<DeliveryStore["recover"]> {
  const { sinceMs, untilMs, nowMs } = request;
  const endpointKey = decodeId(request.endpointId);
  const from = `from deliveries d join events e on e.position = d.event_position
    where d.endpoint_id = $1 and d.status in ('exhausted', 'failed', 'expired') and d.lease_token is null
      and e.type <> 'endpoint.test' and e.created_at >= $2 and e.created_at <= $3`;
  await tx.run(
    `select 1 from watches where id = any(array(select d.watch_id ${from})) order by id for no key update`,
    endpointKey,
    sinceMs,
    untilMs,
  );
  const [, endpoint, rows] = await Promise.all([
    lockEndpoints(tx, [endpointKey]),
    tx.get("select state from endpoints where id = $1 and account_id = $2", endpointKey, decodeId(request.accountId)),
    tx.all(
      `select d.id, d.watch_id ${from} and not exists (select 1 from watches w where w.id = d.watch_id and w.deleted_at is not null)`,
      endpointKey,
      sinceMs,
      untilMs,
    ),
  ]);
  if (endpoint === undefined) return { kind: "unknown" };
  if (endpoint["state"] === "disabled") return { kind: "endpoint_disabled" };
  await requeue(tx, endpointKey, rows, nowMs);
  return { kind: "recovered", count: rows.length };
}
