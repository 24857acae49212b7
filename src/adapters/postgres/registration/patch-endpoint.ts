import { patchedColumns } from "../../sql/patched-columns.ts";
import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { EndpointView } from "../../../ports/stores/read-store.ts";
import type { Transaction } from "../connection/transaction.ts";
import { refreshDue } from "../deliveries/due-bounds.ts";
import { enableIfDisabled } from "./endpoint-rows.ts";
import { endpointSelect } from "../reading/selects.ts";
import { endpointViewOf } from "../../sql/view-rows.ts";

export async function patchEndpoint(tx: Transaction, request: Parameters<EndpointStore["patchEndpoint"]>[0]): Promise<EndpointView | null> {
  const { accountId, endpointId, patch, nowMs } = request;
  if ((await tx.get("select 1 from endpoints where id = $1 and account_id = $2", endpointId, accountId)) === undefined) return null;
  // Whoever leaves `disabled` leaves its failures behind, also for a pause.
  if (patch.state === "enabled" || patch.state === "paused") await enableIfDisabled(tx, endpointId, nowMs);
  await tx.run("select 1 from endpoints where id = $1 for no key update", endpointId);
  for (const [column, value] of patchedColumns(patch)) await tx.run(`update endpoints set ${column} = $1 where id = $2`, value, endpointId);
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
