import { countRecovery, recoveryAtOnce } from "../../../domain/deliveries/marks.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { RecoverResult } from "../../../ports/stores/delivery-store.ts";
import { recordAudit } from "../../sql/audit/audit.ts";
import { endpointRecovered } from "../../sql/audit/entries.ts";
import { recoveryKeys } from "../../sql/marks/recovery.ts";
import type { RecoverRequest } from "../../sql/marks/recovery.ts";
import type { Transaction } from "../connection/transaction.ts";
import { keysOf, lockLanes, readMarked, writeEffects } from "../marks/marked-deliveries.ts";
import { endpointMark, markedAmong, setMark } from "../marks/set-mark.ts";
import { heldBy } from "../../sql/marks/new-mark.ts";

export const writes = { recover };

/**
 * Requeues the failed deliveries of a period, and makes those due that wait for their schedule. Leaves delivered and in-flight
 * ones alone, so that a repeat requeues none of them again. A mark does it where they are many.
 */
export async function recover(tx: Transaction, request: RecoverRequest): Promise<RecoverResult> {
  const { sinceMs, nowMs } = request;
  const endpointKey = decodeId(request.endpointId);
  const accountKey = decodeId(request.accountId);
  if ((await tx.get("select 1 from endpoints where id = $1 and account_id = $2", endpointKey, accountKey)) === undefined)
    return { kind: "unknown" };
  const { threshold } = tx.markSizes;
  const limit = threshold * 2 + 1;
  const { failed, waiting } = recoveryKeys({ endpointKey, sinceMs, nowMs, limit });
  const found = await Promise.all([keysOf(tx, failed.sql, ...failed.values), keysOf(tx, waiting.sql, ...waiting.values)]);
  const more = found.some((keys) => keys.length === limit);
  const keys = more ? [] : found.flat();
  await lockLanes(tx, keys, [endpointKey]);
  const [endpoint, marked, rows] = await Promise.all([
    tx.get("select state from endpoints where id = $1", endpointKey),
    markedAmong(tx, [endpointKey]),
    readMarked(tx, keys),
  ]);
  if (endpoint === undefined) return { kind: "unknown" };
  if (endpoint["state"] === "disabled") return { kind: "endpoint_disabled" };
  const mark = recoveryAtOnce({ accountKey, targetKey: endpointKey }, request);
  const { recovered, hurried } = countRecovery(rows, mark);
  if (more || recovered + hurried > threshold || marked.size > 0) {
    const ofEndpoint = await endpointMark(tx, endpointKey, nowMs);
    const detail = { ...ofEndpoint.detail, ...mark.detail, held: heldBy("recovered", endpointKey) };
    await setMark(tx, { ...ofEndpoint, kind: "recovered", detail });
  } else await writeEffects(tx, mark, rows, nowMs);
  if (more || recovered + hurried > 0) await recordAudit(tx, request.by, endpointRecovered(request, { recovered, hurried, more }));
  return more ? { kind: "recovered", recovered: null, hurried: null, more } : { kind: "recovered", recovered, hurried, more };
}
