import { patchedColumns } from "../../sql/patched-columns.ts";
import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { EndpointView } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import { enableIfDisabled } from "./endpoint-rows.ts";
import { refreshDue } from "../deliveries/due-bounds.ts";
import { getEndpoint } from "../reading/get-endpoint.ts";

export function patchEndpoint(db: Database, request: Parameters<EndpointStore["patchEndpoint"]>[0]): EndpointView | null {
  const { accountId, endpointId, patch, nowMs } = request;
  if (db.get("select 1 from endpoints where id = ? and account_id = ?", endpointId, accountId) === undefined) return null;
  for (const [column, value] of patchedColumns(patch)) db.run(`update endpoints set ${column} = ? where id = ?`, value, endpointId);
  // Whoever leaves `disabled` leaves its failures behind, also for a pause.
  if (patch.state === "enabled" || patch.state === "paused") enableIfDisabled(db, endpointId, nowMs);
  if (patch.state === "enabled") endPause(db, endpointId);
  else if (patch.state !== undefined)
    db.run("update endpoints set state = ?1, reason = 'client', since = ?2 where id = ?3 and state <> ?1", patch.state, nowMs, endpointId);
  return getEndpoint(db, accountId, endpointId);
}

function endPause(db: Database, endpointId: string): void {
  db.run("update endpoints set state = 'enabled', reason = null, since = null where id = ? and state = 'paused'", endpointId);
  refreshDue(db, endpointId);
}
