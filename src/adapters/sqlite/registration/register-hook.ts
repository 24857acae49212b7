import { filterToRow, sameFilter } from "../../../domain/events/event-filter.ts";
import type { HookDraft, RegisterHookResult } from "../../../ports/stores/registration-store.ts";
import type { Database } from "../connection/database.ts";
import { enableIfDisabled, nameEndpoint } from "./endpoint-rows.ts";
import { filterOf, text } from "../../sql/rows.ts";
import { hookSelect } from "../reading/selects.ts";
import { hookViewOf } from "../../sql/view-rows.ts";

export function registerHook(db: Database, draft: HookDraft): RegisterHookResult {
  const { accountId, nowMs, quotas } = draft;
  const same = db
    .all(
      "select k.id, k.events from hooks k join endpoints p on p.id = k.endpoint_id where k.account_id = ? and p.url = ?",
      accountId,
      draft.endpoint.url,
    )
    .find((row) => sameFilter(filterOf(row), draft.filter));
  if (same === undefined && quotas.maxHooks > 0) {
    const count = db.get("select count(*) as n from hooks where account_id = ?", accountId)?.["n"] as number;
    if (count >= quotas.maxHooks) return { kind: "quota_exceeded", quota: "hooks", limit: quotas.maxHooks };
  }
  const named = nameEndpoint(db, accountId, draft.endpoint, quotas.maxEndpoints, nowMs);
  if (named.kind !== "endpoint") return named;
  if (same !== undefined) return { kind: "existing", view: readHook(db, text(same, "id")) };
  if (named.summary.state === "disabled") enableIfDisabled(db, named.summary.id, nowMs);
  db.run(
    "insert into hooks (id, account_id, endpoint_id, events, created_at) values (?, ?, ?, ?, ?)",
    draft.id,
    accountId,
    named.summary.id,
    filterToRow(draft.filter),
    nowMs,
  );
  return { kind: "created", view: readHook(db, draft.id), showsGeneratedSecret: named.showsGeneratedSecret };
}

function readHook(db: Database, hookId: string) {
  const row = db.get(`${hookSelect} where k.id = ?`, hookId);
  if (row === undefined) throw new Error(`no hook ${hookId}`);
  return hookViewOf(row);
}
