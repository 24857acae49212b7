import type { EndpointStore } from "../../../ports/endpoint-store.ts";
import type { EndpointView } from "../../../ports/read-store.ts";
import type { Transaction, Value } from "../database.ts";
import { refreshDue } from "../tables/due.ts";
import { enableIfDisabled } from "../tables/endpoints.ts";
import { endpointSelect, endpointViewOf } from "../tables/views.ts";

export async function patchEndpoint(tx: Transaction, request: Parameters<EndpointStore["patchEndpoint"]>[0]): Promise<EndpointView | null> {
  const { accountId, endpointId, patch, nowMs } = request;
  if ((await tx.get("select 1 from endpoints where id = $1 and account_id = $2", endpointId, accountId)) === undefined) return null;
  // Whoever leaves `disabled` leaves its failures behind, also for a pause.
  if (patch.state === "enabled" || patch.state === "paused") await enableIfDisabled(tx, endpointId, nowMs);
  await tx.run("select 1 from endpoints where id = $1 for no key update", endpointId);
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
  for (const [column, value] of columns) await tx.run(`update endpoints set ${column} = $1 where id = $2`, value, endpointId);
  if (patch.state === "enabled") {
    await tx.run("update endpoints set state = 'enabled', reason = null, since = null where id = $1 and state = 'paused'", endpointId);
    await refreshDue(tx, [endpointId]);
    tx.changed.add("deliveries");
  } else if (patch.state !== undefined)
    await tx.run(
      "update endpoints set state = $1, reason = 'client', since = $2 where id = $3 and state <> $1",
      patch.state,
      nowMs,
      endpointId,
    );
  const row = await tx.get(`${endpointSelect} where p.id = $1`, endpointId);
  return row === undefined ? null : endpointViewOf(row);
}
