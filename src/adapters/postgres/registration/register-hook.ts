import { sameFilter } from "../../../domain/calls/registration.ts";
import type { HookDraft, RegisterHookResult } from "../../../ports/stores/registration-store.ts";
import type { Transaction } from "../connection/database.ts";
import { enableIfDisabled } from "./endpoint-rows.ts";
import { LockedEndpoints, lockAccounts } from "./locked-endpoints.ts";
import { filterOf, text } from "../../sql/rows.ts";
import { hookSelect } from "../reading/selects.ts";
import { hookViewOf } from "../../sql/view-rows.ts";

export async function registerHook(tx: Transaction, draft: HookDraft): Promise<RegisterHookResult> {
  const { accountId, nowMs, quotas } = draft;
  const { accounts, usage } = await lockAccounts(tx, [accountId], quotas.maxEndpoints > 0);
  const hooks = await tx.all(
    "select k.id, k.events, p.url from hooks k join endpoints p on p.id = k.endpoint_id where k.account_id = $1 order by k.id",
    accountId,
  );
  const same = hooks.find((row) => row["url"] === draft.endpoint.url && sameFilter(filterOf(row), draft.events));
  if (same === undefined && quotas.maxHooks > 0 && hooks.length >= quotas.maxHooks)
    return { kind: "quota_exceeded", quota: "hooks", limit: quotas.maxHooks };
  const naming = { accountId, draft: draft.endpoint };
  const endpoints = await LockedEndpoints.load(tx, accounts, [naming], usage);
  const named = endpoints.name(naming, quotas.maxEndpoints, nowMs);
  if (named.kind !== "endpoint") return named;
  await endpoints.write(tx);
  if (same !== undefined) return { kind: "existing", view: await readHook(tx, text(same, "id")) };
  if (named.summary.state === "disabled") await enableIfDisabled(tx, named.summary.id, nowMs);
  await tx.run(
    "insert into hooks (id, account_id, endpoint_id, events, created_at) values ($1, $2, $3, $4, $5)",
    draft.id,
    accountId,
    named.summary.id,
    draft.events === null ? null : JSON.stringify(draft.events),
    nowMs,
  );
  return { kind: "created", view: await readHook(tx, draft.id), showsGeneratedSecret: named.showsGeneratedSecret };
}

async function readHook(tx: Transaction, hookId: string) {
  const row = await tx.get(`${hookSelect} where k.id = $1`, hookId);
  if (row === undefined) throw new Error(`no hook ${hookId}`);
  return hookViewOf(row);
}
