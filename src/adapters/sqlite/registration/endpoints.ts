import { recordAudit } from "../../sql/audit/audit.ts";
import { changeableColumns, endpointChanges } from "../../sql/audit/endpoint-changes.ts";
import { endpointChanged } from "../../sql/audit/entries.ts";
import { atOnce } from "../../../domain/deliveries/marks.ts";
import { chooseSecret, findDifferences } from "../../../domain/deliveries/endpoint-registration.ts";
import type { EndpointSecret } from "../../../domain/deliveries/endpoint-registration.ts";
import { decodeId, encodeId } from "../../../domain/ids.ts";
import { checkQuota } from "../../../domain/quotas.ts";
import type { QuotaExceeded, Quotas } from "../../../domain/quotas.ts";
import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { EndpointSummary, EndpointView } from "../../../ports/stores/read-store.ts";
import type { EndpointConflict, EndpointDraft } from "../../../ports/stores/registration-store.ts";
import { patchedColumns } from "../../sql/patched-columns.ts";
import { id, idOrNull, integer, integerOrNull, text, textOrNull } from "../../sql/rows.ts";
import { endpointViewOf, summaryOf } from "../../sql/view-rows.ts";
import type { Database, Row } from "../connection/database.ts";
import { refreshDue } from "../deliveries/due-bounds.ts";
import { hurry, requeue } from "../deliveries/lanes.ts";
import { readMarked, writeEffects } from "../marks/marked-deliveries.ts";
import { exceedsThreshold, isMarked, newestDelivery, newestPosition, readSettling, setMark } from "../marks/set-mark.ts";
import { heldBy } from "../../sql/marks/new-mark.ts";
import { endpointSelect, summaryColumns } from "../reading/selects.ts";
import { insertSecret } from "./secrets.ts";

export const writes = { patchEndpoint };

export type EnsuredEndpoint =
  | { readonly kind: "endpoint"; readonly summary: EndpointSummary; readonly showsGeneratedSecret: boolean }
  | EndpointConflict
  | QuotaExceeded;

/** Returns the endpoint with the draft's URL, creating it if there is none. Writes nothing if an existing endpoint differs from the draft. */
export function ensureEndpoint(db: Database, accountKey: number, draft: EndpointDraft, quotas: Quotas, nowMs: number): EnsuredEndpoint {
  const found = checkEndpoint(db, accountKey, draft, quotas, nowMs);
  if (found !== null) return found;
  const showsGeneratedSecret = createEndpoint(db, accountKey, draft, nowMs);
  const created = findByUrl(db, accountKey, draft.url);
  if (created === undefined) throw new Error(`no endpoint ${draft.id}`);
  return { kind: "endpoint", summary: summaryOf(created, draft.id), showsGeneratedSecret };
}

/** Returns the endpoint with the draft's URL, or why there can be none; `null` if it is to be created. */
export function checkEndpoint(
  db: Database,
  accountKey: number,
  draft: EndpointDraft,
  quotas: Quotas,
  nowMs: number,
): EnsuredEndpoint | null {
  const existing = findByUrl(db, accountKey, draft.url);
  if (existing !== undefined) {
    const endpointId = id(existing, "ep", "id");
    const fields = findDifferences(
      {
        format: text(existing, "p_format"),
        request: textOrNull(existing, "p_request"),
        headersFingerprint: textOrNull(existing, "headers_fingerprint"),
        secrets: draft.givenSecret === null ? [] : readSecrets(db, integer(existing, "id")),
      },
      draft,
      nowMs,
    );
    if (fields.length > 0) return { kind: "endpoint_differs", endpointId, fields };
    return { kind: "endpoint", summary: summaryOf(existing, endpointId), showsGeneratedSecret: false };
  }
  return checkQuota(quotas, "maxEndpoints", () => readUsage(db, accountKey).endpoints);
}

/** Enables a disabled endpoint and its hooks, because its owner named it in a new registration. */
export function enableIfDisabled(db: Database, endpointKey: number, nowMs: number): void {
  restoreHooks(db, endpointKey);
  leaveDisabled(db, endpointKey, nowMs);
}

/** Enables the hooks that a 410 of their endpoint disabled. */
function restoreHooks(db: Database, endpointKey: number): void {
  db.cache.forgetHooks();
  db.run("update hooks set disabled_at = null where endpoint_id = ? and disabled_at is not null", endpointKey);
}

/**
 * Resets a disabled endpoint. Its pending deliveries are requeued, so that they start now, in order, each with a whole schedule;
 * by a mark if they are many.
 */
function leaveDisabled(db: Database, endpointKey: number, nowMs: number): void {
  const changed = db.run(
    `update endpoints set state = 'enabled', reason = null, since = null, consecutive_failures = 0, failing_since = null,
       paused_until = null, paused_since = null, consecutive_pauses = 0, pause_reason = null
     where id = ? and state = 'disabled'`,
    endpointKey,
  );
  if (changed === 0) return;
  db.cache.forgetEndpoint(endpointKey);
  if (needsMark(db, endpointKey)) {
    const mark = { ...endpointMark(db, endpointKey, nowMs), kind: "enabled" } as const;
    const leased = db.all(
      "select id from deliveries where endpoint_id = ? and lease_token is not null and status = 'pending'",
      endpointKey,
    );
    const keys = leased.map((row) => integer(row, "id"));
    writeEffects(db, { ...mark, key: atOnce, doneKey: -1, remaining: 0, createdAtMs: nowMs }, readMarked(db, keys), nowMs);
    return setMark(db, { ...mark, detail: { ...mark.detail, held: heldBy("enabled", endpointKey) } });
  }
  const pending = db.all(
    "select id, watch_id, status from deliveries where endpoint_id = ? and status = 'pending' and next_attempt_at is not null",
    endpointKey,
  );
  requeue(db, endpointKey, pending, nowMs);
}

/** Whether a change of the pending deliveries of an endpoint must wait for a mark, or is one itself. */
function needsMark(db: Database, endpointKey: number): boolean {
  return (
    isMarked(db, endpointKey) || exceedsThreshold(db, "select 1 from deliveries where endpoint_id = ? and status = 'pending'", endpointKey)
  );
}

/** Returns what every mark on the deliveries of an endpoint holds. */
function endpointMark(db: Database, endpointKey: number, nowMs: number) {
  const row = db.get("select account_id from endpoints where id = ?", endpointKey);
  return {
    accountKey: integer(row ?? {}, "account_id"),
    targetKey: endpointKey,
    lastKey: newestDelivery(db, endpointKey),
    detail: { position: newestPosition(db) },
    nowMs,
  };
}

/** Reads how much of its quotas an account uses, the changes of the open transaction included. */
export function readUsage(db: Database, accountKey: number): { readonly activeWatches: number; readonly endpoints: number } {
  const row = db.get("select active, endpoints from account_usage where account_id = ?", accountKey);
  const { watches: settling } = readSettling(db, accountKey);
  return {
    activeWatches: Number(row?.["active"] ?? 0) + db.counters.usageChange(accountKey, "active") - settling,
    endpoints: Number(row?.["endpoints"] ?? 0) + db.counters.usageChange(accountKey, "endpoints"),
  };
}

function patchEndpoint(db: Database, request: Parameters<EndpointStore["patchEndpoint"]>[0]): EndpointView | null {
  const { patch, nowMs } = request;
  const endpointKey = decodeId(request.endpointId);
  const before = db.get(
    `select ${changeableColumns} from endpoints where id = ? and account_id = ?`,
    endpointKey,
    decodeId(request.accountId),
  );
  if (before === undefined) return null;
  for (const [column, value] of patchedColumns(patch)) db.run(`update endpoints set ${column} = ? where id = ?`, value, endpointKey);
  // An endpoint that leaves `disabled` loses its failures, also when it is paused.
  if (patch.state === "enabled" || patch.state === "paused") leaveDisabled(db, endpointKey, nowMs);
  if (patch.state === "enabled") {
    restoreHooks(db, endpointKey);
    endPause(db, endpointKey, nowMs);
  }
  if (patch.state === "paused" || patch.state === "disabled")
    db.run("update endpoints set state = ?1, reason = 'client', since = ?2 where id = ?3 and state <> ?1", patch.state, nowMs, endpointKey);
  db.cache.forgetEndpoint(endpointKey);
  const changes = endpointChanges(before, request);
  if (changes !== null) void recordAudit(db, request.by, endpointChanged(request, changes));
  const row = db.get(`${endpointSelect} where p.id = ?`, endpointKey);
  return row === undefined ? null : endpointViewOf(row);
}

/**
 * Ends two pauses of the endpoint: the client's, and one that an answer began. Deliveries that an answer deferred are due
 * now. One of them is sent first, because `consecutive_pauses` stays until a 2xx. A pause of the host goes on.
 */
function endPause(db: Database, endpointKey: number, nowMs: number): void {
  const pause = db.get("select paused_until from endpoints where id = ?1 and paused_until > ?2", endpointKey, nowMs);
  const pausedUntilMs = pause === undefined ? null : integerOrNull(pause, "paused_until");
  const mark = pausedUntilMs !== null && needsMark(db, endpointKey) ? endpointMark(db, endpointKey, nowMs) : null;
  if (mark !== null && pausedUntilMs !== null) setMark(db, { ...mark, kind: "resumed", detail: { ...mark.detail, pausedUntilMs } });
  const deferred =
    pausedUntilMs === null || mark !== null
      ? []
      : db.all(
          `select d.id, d.watch_id from endpoints p join deliveries d on d.endpoint_id = p.id
       join attempts a on a.delivery_id = d.id and a.number = d.attempt_count
     where p.id = ?1 and p.paused_until > ?2 and d.status = 'pending' and d.next_attempt_at > ?2 and d.next_attempt_at <= p.paused_until
       and a.decision = 'deferred'`,
          endpointKey,
          nowMs,
        );
  db.run("update endpoints set state = 'enabled', reason = null, since = null where id = ? and state = 'paused'", endpointKey);
  db.run(
    "update endpoints set paused_until = null, paused_since = null, pause_reason = null where id = ? and paused_until > ?",
    endpointKey,
    nowMs,
  );
  if (deferred.length === 0) refreshDue(db, endpointKey);
  else hurry(db, endpointKey, deferred, nowMs);
}

function findByUrl(db: Database, accountKey: number, url: string): Row | undefined {
  const sql = `select p.id, p.headers_fingerprint, ${summaryColumns} from endpoints p join hosts h on h.id = p.host_id where p.account_id = ? and p.url = ?`;
  return db.get(sql, accountKey, url);
}

function readSecrets(db: Database, endpointKey: number): readonly EndpointSecret[] {
  return db
    .all(
      "select s.fingerprint, x.valid_until from endpoint_secrets x join secrets s on s.id = x.secret_id where x.endpoint_id = ?",
      endpointKey,
    )
    .map((row) => ({ fingerprint: text(row, "fingerprint"), validUntilMs: integerOrNull(row, "valid_until") }));
}

/** Returns whether the endpoint has the generated secret, rather than the client's or the account's default. */
function createEndpoint(db: Database, accountKey: number, draft: EndpointDraft, nowMs: number): boolean {
  db.run("insert into hosts (account_id, origin) values (?, ?) on conflict (account_id, origin) do nothing", accountKey, draft.origin);
  const endpointKey = decodeId(draft.id);
  const headers = draft.headers?.names.length ? draft.headers : null;
  db.run(
    `insert into endpoints (id, account_id, url, host_id, format, request, header_names, sealed_headers, headers_fingerprint, signatures, late, state, created_at)
     values (?, ?, ?, (select id from hosts where account_id = ? and origin = ?), ?, ?, ?, ?, ?, '["v1"]', ?, 'enabled', ?)`,
    endpointKey,
    accountKey,
    draft.url,
    accountKey,
    draft.origin,
    draft.format ?? draft.defaultFormat,
    draft.request,
    JSON.stringify(headers?.names ?? []),
    headers?.sealed ?? null,
    headers?.fingerprints[0] ?? null,
    draft.late,
    nowMs,
  );
  db.counters.countNewEndpoint(accountKey);
  const account = db.get("select default_secret_id from accounts where id = ?", accountKey);
  const defaultSecretId = account === undefined ? null : idOrNull(account, "sec", "default_secret_id");
  const { secret, secretId, isGenerated } = chooseSecret(draft, defaultSecretId);
  if (secret !== null) insertSecret(db, encodeId("acc", accountKey), secret, nowMs);
  db.run("insert into endpoint_secrets (endpoint_id, secret_id) values (?, ?)", endpointKey, decodeId(secretId));
  return isGenerated;
}
