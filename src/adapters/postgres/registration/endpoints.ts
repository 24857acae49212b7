import { recordAudit } from "../../sql/audit/audit.ts";
import { changeableColumns, endpointChanges } from "../../sql/audit/endpoint-changes.ts";
import { endpointChanged } from "../../sql/audit/entries.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { EndpointDraft } from "../../../ports/stores/registration-store.ts";
import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { EndpointView } from "../../../ports/stores/read-store.ts";
import { patchedColumns } from "../../sql/patched-columns.ts";
import { integerOrNull } from "../../sql/rows.ts";
import { endpointViewOf } from "../../sql/view-rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { replaceLanes, requeue } from "../deliveries/lanes.ts";
import { refreshDue } from "../deliveries/due-bounds.ts";
import { isLeased } from "../marks/marked-deliveries.ts";
import { endpointMark, needsMark, setMark } from "../marks/set-mark.ts";
import { heldBy } from "../../sql/marks/new-mark.ts";
import { isStatus } from "../reading/page.ts";
import { endpointSelect } from "../reading/selects.ts";
import { insertSecrets } from "./secrets.ts";

export const writes = { patchEndpoint };

/** An endpoint to insert. The caller has locked its account, so that a URL is inserted once and quotas are exact. */
export type NewEndpoint = {
  readonly accountId: string;
  readonly draft: EndpointDraft;
  /** `null` if the endpoint signs with the account's default secret. */
  readonly secret: EndpointDraft["generatedSecret"] | null;
  readonly secretId: string;
  readonly nowMs: number;
};

export async function insertEndpoints(tx: Transaction, endpoints: readonly NewEndpoint[]): Promise<void> {
  if (endpoints.length === 0) return;
  const secrets = endpoints.flatMap(({ accountId, secret, nowMs }) => (secret === null ? [] : [{ accountId, secret, nowMs }]));
  const headersOf = ({ draft }: NewEndpoint) => (draft.headers?.names.length ? draft.headers : null);
  await Promise.all([
    tx.run(
      `insert into hosts (account_id, origin) select distinct u.account_id, u.origin from unnest($1::bigint[], $2::text[]) as u(account_id, origin)
       order by u.account_id, u.origin on conflict (account_id, origin) do nothing`,
      endpoints.map(({ accountId }) => decodeId(accountId)),
      endpoints.map(({ draft }) => draft.origin),
    ),
    secrets.length === 0 ? null : insertSecrets(tx, secrets),
    // The foreign key locks the host for key share, so that no other transaction deletes the host with its last endpoint.
    tx.run(
      `insert into endpoints (id, account_id, url, host_id, format, request, header_names, sealed_headers, headers_fingerprint, signatures, late, state, created_at)
       select u.id, u.account_id, u.url, h.id, u.format, u.request, u.header_names, u.sealed_headers, u.headers_fingerprint, '["v1"]', u.late, 'enabled', u.created_at
       from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::text[], $10::text[], $11::bigint[])
         as u(id, account_id, url, origin, format, request, header_names, sealed_headers, headers_fingerprint, late, created_at)
       join hosts h on h.account_id = u.account_id and h.origin = u.origin`,
      endpoints.map(({ draft }) => decodeId(draft.id)),
      endpoints.map(({ accountId }) => decodeId(accountId)),
      endpoints.map(({ draft }) => draft.url),
      endpoints.map(({ draft }) => draft.origin),
      endpoints.map(({ draft }) => draft.format ?? draft.defaultFormat),
      endpoints.map(({ draft }) => draft.request),
      endpoints.map((endpoint) => JSON.stringify(headersOf(endpoint)?.names ?? [])),
      endpoints.map((endpoint) => headersOf(endpoint)?.sealed ?? null),
      endpoints.map((endpoint) => headersOf(endpoint)?.fingerprints[0] ?? null),
      endpoints.map(({ draft }) => draft.late),
      endpoints.map(({ nowMs }) => nowMs),
    ),
    tx.run(
      "insert into endpoint_secrets (endpoint_id, secret_id) select * from unnest($1::bigint[], $2::bigint[])",
      endpoints.map(({ draft }) => decodeId(draft.id)),
      endpoints.map(({ secretId }) => decodeId(secretId)),
    ),
  ]);
}

const pendingOf = "from deliveries where endpoint_id = $1 and status = 'pending' and next_attempt_at is not null";

/**
 * Enables an endpoint that was disabled, and its hooks, as a new registration for its URL does. Requeues its pending
 * deliveries, so that they are sent now, in order, and with a full schedule. The caller must not hold the lock of an endpoint.
 */
export async function enableIfDisabled(tx: Transaction, endpointKey: number, nowMs: number): Promise<void> {
  const byMark = await needsMark(tx, endpointKey);
  if (!byMark) await lockPending(tx, endpointKey);
  await restoreHooks(tx, endpointKey);
  await leaveDisabled(tx, endpointKey, nowMs, byMark);
}

/** Locks the watches of the endpoint's pending deliveries, so that their lanes can be changed. */
async function lockPending(tx: Transaction, endpointKey: number): Promise<void> {
  await tx.run(`select 1 from watches where id = any(array(select watch_id ${pendingOf})) order by id for no key update`, endpointKey);
}

/** Enables the hooks that a 410 of their endpoint disabled. */
async function restoreHooks(tx: Transaction, endpointKey: number): Promise<void> {
  const rows = "from hooks where endpoint_id = $1 and disabled_at is not null";
  await tx.run(`select 1 ${rows} order by id for update`, endpointKey);
  await tx.run(`update hooks set disabled_at = null where id = any(array(select id ${rows}))`, endpointKey);
}

/** Resets a disabled endpoint. Its pending deliveries are requeued, by a mark if they are many. */
async function leaveDisabled(tx: Transaction, endpointKey: number, nowMs: number, byMark: boolean): Promise<void> {
  const changed = await tx.run(
    `update endpoints set state = 'enabled', reason = null, since = null, consecutive_failures = 0, failing_since = null,
       paused_until = null, paused_since = null, consecutive_pauses = 0, pause_reason = null
     where id = $1 and state = 'disabled'`,
    endpointKey,
  );
  if (changed === 0) return;
  if (!byMark) return requeue(tx, endpointKey, await tx.all(`select id, watch_id ${pendingOf}`, endpointKey), nowMs);
  // An attempt on the wire decides by the row whether another follows.
  await tx.run(
    `update deliveries set steps_spent = 0, next_attempt_at = $2, first_attempt_at = null, first_failed_at = null
     where ${isLeased} and (endpoint_id + 0) = $1 and ${isStatus("status", "pending")} and next_attempt_at is not null`,
    endpointKey,
    nowMs,
  );
  const mark = await endpointMark(tx, endpointKey, nowMs);
  await setMark(tx, { ...mark, kind: "enabled", detail: { ...mark.detail, held: heldBy("enabled", endpointKey) } });
}

/**
 * Ends two pauses of a locked endpoint: the client's, and one that an answer began. Deliveries that an answer deferred are
 * due now. One of them is sent first, because `consecutive_pauses` stays until a 2xx. A pause of the host goes on.
 */
async function endPause(tx: Transaction, endpointKey: number, nowMs: number, byMark: boolean): Promise<void> {
  const pause = await tx.get("select paused_until from endpoints where id = $1 and paused_until > $2", endpointKey, nowMs);
  const pausedUntilMs = pause === undefined ? null : integerOrNull(pause, "paused_until");
  if (pausedUntilMs !== null && byMark) {
    const mark = await endpointMark(tx, endpointKey, nowMs);
    await setMark(tx, { ...mark, kind: "resumed", detail: { ...mark.detail, pausedUntilMs } });
  }
  const deferred =
    pausedUntilMs === null || byMark
      ? []
      : await tx.all(
          `update deliveries set next_attempt_at = $2, due_at = $2 where id = any(array(
       select d.id from endpoints p join deliveries d on d.endpoint_id = p.id join attempts a on a.delivery_id = d.id and a.number = d.attempt_count
       where p.id = $1 and p.paused_until > $2 and d.status = 'pending' and d.next_attempt_at > $2 and d.next_attempt_at <= p.paused_until
         and a.decision = 'deferred')) returning watch_id`,
          endpointKey,
          nowMs,
        );
  await tx.run("update endpoints set state = 'enabled', reason = null, since = null where id = $1 and state = 'paused'", endpointKey);
  await tx.run(
    "update endpoints set paused_until = null, paused_since = null, pause_reason = null where id = $1 and paused_until > $2",
    endpointKey,
    nowMs,
  );
  const watchKeys = new Set(deferred.map((row) => integerOrNull(row, "watch_id")).filter((key) => key !== null));
  await replaceLanes(tx, [...watchKeys], [endpointKey]);
  await refreshDue(tx, [endpointKey]);
  tx.changed.add("deliveries");
}

/** Changes the settings and the state of an endpoint. Returns `null` if the account has no such endpoint. */
async function patchEndpoint(tx: Transaction, request: Parameters<EndpointStore["patchEndpoint"]>[0]): Promise<EndpointView | null> {
  const { patch, nowMs } = request;
  const endpointKey = decodeId(request.endpointId);
  const accountKey = decodeId(request.accountId);
  const before = await tx.get(`select ${changeableColumns} from endpoints where id = $1 and account_id = $2`, endpointKey, accountKey);
  if (before === undefined) return null;
  // Leaving `disabled` resets the failures, also if the new state is `paused`.
  const leavesState = patch.state === "enabled" || patch.state === "paused";
  const byMark = leavesState && (await needsMark(tx, endpointKey));
  if (leavesState && !byMark) await lockPending(tx, endpointKey);
  if (patch.state === "enabled") await restoreHooks(tx, endpointKey);
  if (leavesState) await leaveDisabled(tx, endpointKey, nowMs, byMark);
  await tx.run("select 1 from endpoints where id = $1 for no key update", endpointKey);
  for (const [column, value] of patchedColumns(patch))
    await tx.run(`update endpoints set ${column} = $1 where id = $2`, value, endpointKey);
  if (patch.state === "enabled") await endPause(tx, endpointKey, nowMs, byMark);
  else if (patch.state !== undefined)
    await tx.run(
      "update endpoints set state = $1, reason = 'client', since = $2 where id = $3 and state <> $1",
      patch.state,
      nowMs,
      endpointKey,
    );
  const changes = endpointChanges(before, request);
  if (changes !== null) await recordAudit(tx, request.by, endpointChanged(request, changes));
  const row = await tx.get(`${endpointSelect} where p.id = $1`, endpointKey);
  return row === undefined ? null : endpointViewOf(row);
}
