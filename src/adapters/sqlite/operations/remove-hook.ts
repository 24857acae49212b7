import type { RegistrationStore } from "../../../ports/registration-store.ts";
import type { Database } from "../database.ts";
import { text } from "../tables/rows.ts";

/** What is owed to the hook alone: not through a watch with the same URL, nor through another hook with it. */
export function removeHook(db: Database, request: Parameters<RegistrationStore["removeHook"]>[0]): { readonly endpointId: string | null } {
  const row = db.get("select endpoint_id from hooks where id = ? and account_id = ?", request.hookId, request.accountId);
  if (row === undefined) return { endpointId: null };
  const endpointId = text(row, "endpoint_id");
  db.run("delete from hooks where id = ?", request.hookId);
  if (db.get("select 1 from hooks where endpoint_id = ? limit 1", endpointId) === undefined)
    db.run(
      `update deliveries set status = 'canceled', settled_at = ?1, next_attempt_at = null, due_at = null
       where endpoint_id = ?2 and status = 'pending'
         and (watch_id is null or not exists (select 1 from watches w where w.id = deliveries.watch_id and w.endpoint_id = ?2))`,
      request.nowMs,
      endpointId,
    );
  return { endpointId };
}
