import { decodeId, encodeId } from "../../../domain/ids.ts";
import { checkQuota } from "../../../domain/quotas.ts";
import { filterToRow, sameFilter } from "../../../domain/events/event-filter.ts";
import type { HookDraft, RegisterHookResult, RegistrationStore, RemovedHook } from "../../../ports/stores/registration-store.ts";
import { recordAudit } from "../../sql/audit/audit.ts";
import { endpointEnabled, hookCreated, hookDeleted } from "../../sql/audit/entries.ts";
import { filterOf, id, integer, integerOrNull, isSubscribedRow, textOrNull } from "../../sql/rows.ts";
import { hookViewOf } from "../../sql/view-rows.ts";
import { TransactionOvertakenError } from "../connection/failures.ts";
import type { Transaction } from "../connection/transaction.ts";
import { hookSelect } from "../reading/selects.ts";
import { cancelPending } from "../deliveries/event-rows.ts";
import { lockEndpoints } from "../deliveries/due-bounds.ts";
import { replaceLanes } from "../deliveries/lanes.ts";
import { atOnce, effectOn } from "../../../domain/deliveries/marks.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import { isWantedOf } from "../../sql/marks/marked-rows.ts";
import { cancelDeliveries, isLeased, keysOf, lockLanes, readMarked } from "../marks/marked-deliveries.ts";
import { endpointMark, needsMark, setMark } from "../marks/set-mark.ts";
import { heldBy } from "../../sql/marks/new-mark.ts";
import { isStatus } from "../reading/page.ts";
import { enableIfDisabled } from "./endpoints.ts";
import { LockedEndpoints, lockAccounts } from "./locked-endpoints.ts";

export const writes = { registerHook, removeHook };

/** Registers a hook, or returns the existing one with the same URL and filter. */
export async function registerHook(tx: Transaction, draft: HookDraft): Promise<RegisterHookResult> {
  const { accountId, nowMs, quotas } = draft;
  const accountKey = decodeId(accountId);
  const { accounts, usage } = await lockAccounts(tx, [accountKey], quotas.maxEndpoints > 0);
  const hooks = await tx.all(
    "select k.id, k.events, k.disabled_at, p.url from hooks k join endpoints p on p.id = k.endpoint_id where k.account_id = $1 order by k.id",
    accountKey,
  );
  const same = hooks.find((row) => row["url"] === draft.endpoint.url && sameFilter(filterOf(row), draft.filter));
  const exceeded =
    same === undefined ? checkQuota(quotas, "maxHooks", () => hooks.filter((row) => row["disabled_at"] === null).length) : null;
  if (exceeded !== null) return exceeded;
  const naming = { accountId, draft: draft.endpoint };
  const endpoints = await LockedEndpoints.load(tx, accounts, [naming], usage);
  const named = endpoints.name(naming, quotas, nowMs);
  if (named.kind !== "endpoint") return named;
  await endpoints.write(tx);
  // A repeat enables the endpoint only if a 410 disabled the hook with it.
  const enables = named.summary.state === "disabled" && same?.["disabled_at"] !== null;
  if (enables) await enableIfDisabled(tx, decodeId(named.summary.id), nowMs);
  const recordEnabled = () => (enables ? recordAudit(tx, draft.by, endpointEnabled(draft, named.summary.id)) : undefined);
  if (same !== undefined) {
    await recordEnabled();
    return { kind: "existing", view: await readHook(tx, integer(same, "id")) };
  }
  await tx.run(
    "insert into hooks (id, account_id, endpoint_id, events, created_at) values ($1, $2, $3, $4, $5)",
    decodeId(draft.id),
    accountKey,
    decodeId(named.summary.id),
    filterToRow(draft.filter),
    nowMs,
  );
  await recordEnabled();
  await recordAudit(tx, draft.by, hookCreated(draft, named.summary.id));
  return { kind: "created", view: await readHook(tx, decodeId(draft.id)), showsGeneratedSecret: named.showsGeneratedSecret };
}

/** Reads a hook that was just found or made. Another request may have deleted it since; the transaction is then repeated. */
async function readHook(tx: Transaction, hookKey: number) {
  const row = await tx.get(`${hookSelect} where k.id = $1`, hookKey);
  if (row === undefined) throw new TransactionOvertakenError();
  return hookViewOf(row);
}

const pendingFor = `from deliveries d join events e on e.position = d.event_position
  where d.endpoint_id = $1 and d.status = 'pending' and e.type <> 'endpoint.test'`;

/** Deletes a hook and cancels the deliveries that only this hook asked for, by a mark if they are many. Deliveries that a watch or another hook on its URL also asked for stay pending. */
async function removeHook(tx: Transaction, request: Parameters<RegistrationStore["removeHook"]>[0]): Promise<RemovedHook> {
  const { nowMs } = request;
  const hookKey = decodeId(request.hookId);
  const hook = await tx.get("select endpoint_id from hooks where id = $1 and account_id = $2", hookKey, decodeId(request.accountId));
  if (hook === undefined) return { endpointId: null, canceledLeased: [] };
  const endpointKey = integer(hook, "endpoint_id");
  if (await needsMark(tx, endpointKey)) return markUnhooked(tx, request, endpointKey);
  const [, deleted, , others, pending] = await Promise.all([
    tx.run(`select 1 from watches where id = any(array(select d.watch_id ${pendingFor})) order by id for no key update`, endpointKey),
    tx.run("delete from hooks where id = $1", hookKey),
    lockEndpoints(tx, [endpointKey]),
    tx.all("select events from hooks where endpoint_id = $1 and disabled_at is null", endpointKey),
    tx.all(
      `select d.id, d.watch_id, d.lease_token, e.account_id, e.id as event_id, e.type as event_type, e.timestamp, e.data, w.endpoint_id = d.endpoint_id as to_watch, w.events
       from deliveries d join events e on e.position = d.event_position left join watches w on w.id = d.watch_id
       where d.endpoint_id = $1 and d.status = 'pending' and e.type <> 'endpoint.test'`,
      endpointKey,
    ),
  ]);
  if (deleted === 0) return { endpointId: null, canceledLeased: [] };
  const otherFilters = others.map(filterOf);
  const unwanted = pending.filter((delivery) => !isSubscribedRow(delivery, otherFilters));
  await cancelPending(
    tx,
    "id",
    unwanted.map((row) => integer(row, "id")),
    nowMs,
  );
  // Deliveries behind a canceled one in a lane are due now.
  const watchKeys = new Set(unwanted.map((row) => integerOrNull(row, "watch_id")).filter((key) => key !== null));
  await replaceLanes(tx, [...watchKeys], [endpointKey]);
  await recordAudit(tx, request.by, hookDeleted(request, endpointKey));
  return {
    endpointId: encodeId("ep", endpointKey),
    canceledLeased: unwanted.filter((row) => row["lease_token"] !== null).map((row) => id(row, "dlv", "id")),
  };
}

/** Deletes a hook, cancels the leased deliveries that only it asked for, and sets a mark for the others. */
async function markUnhooked(
  tx: Transaction,
  request: Parameters<RegistrationStore["removeHook"]>[0],
  endpointKey: number,
): Promise<RemovedHook> {
  const { hookId, nowMs } = request;
  const leasedKeys = await keysOf(
    tx,
    `select id from deliveries where ${isLeased} and (endpoint_id + 0) = $1 and ${isStatus("status", "pending")}`,
    endpointKey,
  );
  await tx.run(
    "select 1 from watches where id = any(array(select watch_id from deliveries where id = any($1))) order by id for no key update",
    leasedKeys,
  );
  if ((await tx.run("delete from hooks where id = $1", decodeId(hookId))) === 0) return { endpointId: null, canceledLeased: [] };
  await lockLanes(tx, [], [endpointKey]);
  const [others, leased, ofEndpoint] = await Promise.all([
    tx.all("select events from hooks where endpoint_id = $1 and disabled_at is null", endpointKey),
    readMarked(tx, leasedKeys),
    endpointMark(tx, endpointKey, nowMs),
  ]);
  const detail = {
    ...ofEndpoint.detail,
    filters: others.map((row) => textOrNull(row, "events")),
    held: heldBy("unhooked", endpointKey),
  };
  const now: Mark = { ...ofEndpoint, kind: "unhooked", detail, key: atOnce, doneKey: -1, remaining: 0, createdAtMs: nowMs };
  const unwanted = leased.filter((row) => effectOn(row, now, (mark) => isWantedOf(row, mark)) === "cancel");
  await cancelDeliveries(tx, unwanted, nowMs);
  await setMark(tx, { ...ofEndpoint, kind: "unhooked", detail });
  await recordAudit(tx, request.by, hookDeleted(request, endpointKey));
  return { endpointId: encodeId("ep", endpointKey), canceledLeased: unwanted.map(({ key }) => encodeId("dlv", key)) };
}
