import { recordAudit } from "../../sql/audit/audit.ts";
import { endpointRecovered } from "../../sql/audit/entries.ts";
import { recoveryKeys } from "../../sql/marks/recovery.ts";
import type { RecoverRequest } from "../../sql/marks/recovery.ts";
import { decodeId } from "../../../domain/ids.ts";
import { countRecovery, recoveryAtOnce } from "../../../domain/deliveries/marks.ts";
import type { RecoverResult } from "../../../ports/stores/delivery-store.ts";
import type { Database } from "../connection/database.ts";
import { keysOf, readMarked, writeEffects } from "../marks/marked-deliveries.ts";
import { isMarked, newestDelivery, newestPosition, setMark } from "../marks/set-mark.ts";
import { heldBy } from "../../sql/marks/new-mark.ts";

export const writes = { recover };

/**
 * Requeues the failed deliveries of a period, and makes those due that wait for their schedule. Leaves delivered and in-flight
 * ones alone, so that a repeat requeues none of them again. A mark does it where they are many.
 */
function recover(db: Database, request: RecoverRequest): RecoverResult {
  const { accountId, sinceMs, nowMs } = request;
  const endpointKey = decodeId(request.endpointId);
  const accountKey = decodeId(accountId);
  const endpoint = db.get("select state from endpoints where id = ? and account_id = ?", endpointKey, accountKey);
  if (endpoint === undefined) return { kind: "unknown" };
  if (endpoint["state"] === "disabled") return { kind: "endpoint_disabled" };
  const limit = db.markSizes.threshold * 2 + 1;
  const { failed, waiting } = recoveryKeys({ endpointKey, sinceMs, nowMs, limit });
  const found = [keysOf(db, failed.sql, ...failed.values), keysOf(db, waiting.sql, ...waiting.values)];
  const more = found.some((keys) => keys.length === limit);
  const mark = recoveryAtOnce({ accountKey, targetKey: endpointKey }, request);
  const rows = more ? [] : readMarked(db, found.flat());
  const { recovered, hurried } = countRecovery(rows, mark);
  if (more || recovered + hurried > db.markSizes.threshold || isMarked(db, endpointKey))
    setMark(db, {
      ...mark,
      lastKey: newestDelivery(db, endpointKey),
      detail: { ...mark.detail, position: newestPosition(db), held: heldBy("recovered", endpointKey) },
      nowMs,
    });
  else writeEffects(db, mark, rows, nowMs);
  if (more || recovered + hurried > 0) void recordAudit(db, request.by, endpointRecovered(request, { recovered, hurried, more }));
  return more ? { kind: "recovered", recovered: null, hurried: null, more } : { kind: "recovered", recovered, hurried, more };
}
