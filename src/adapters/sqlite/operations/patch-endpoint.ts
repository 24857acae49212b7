import type { EndpointStore } from "../../../ports/endpoint-store.ts";
import type { EndpointView } from "../../../ports/read-store.ts";
import type { Database, Value } from "../database.ts";
import { enableIfDisabled } from "../tables/endpoints.ts";
import { refreshDue } from "../tables/due.ts";
import { getEndpoint } from "./get-endpoint.ts";

export function patchEndpoint(db: Database, request: Parameters<EndpointStore["patchEndpoint"]>[0]): EndpointView | null {
  const { accountId, endpointId, patch, nowMs } = request;
  if (db.get("select 1 from endpoints where id = ? and account_id = ?", endpointId, accountId) === undefined) return null;
  const columns: [column: string, value: Value][] = [];
  if (patch.format !== undefined) columns.push(["format", patch.format]);
  if (patch.headers !== undefined) {
    columns.push(["header_names", JSON.stringify(patch.headers?.names ?? [])], ["sealed_headers", patch.headers?.sealed ?? null]);
    columns.push(["headers_fingerprint", patch.headers?.fingerprints[0] ?? null]);
  }
  if (patch.maxInFlight !== undefined) columns.push(["max_in_flight", patch.maxInFlight]);
  if (patch.maxPerSecond !== undefined) columns.push(["max_per_second", patch.maxPerSecond]);
  if (patch.signatures !== undefined) columns.push(["signatures", JSON.stringify(patch.signatures)]);
  if (patch.late !== undefined) columns.push(["late", patch.late]);
  for (const [column, value] of columns) db.run(`update endpoints set ${column} = ? where id = ?`, value, endpointId);
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
