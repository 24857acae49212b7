import { checkQuota } from "../../../domain/quotas.ts";
import type { QuotaExceeded, Quotas } from "../../../domain/quotas.ts";
import type { EndpointSummary } from "../../../ports/stores/read-store.ts";
import type { EndpointConflict, EndpointDraft } from "../../../ports/stores/registration-store.ts";
import type { Database, Row } from "../connection/database.ts";
import { requeue } from "../deliveries/lanes.ts";
import { text, textOrNull } from "../../sql/rows.ts";
import { insertSecret } from "./secrets.ts";
import { usageOf } from "./quota-usage.ts";
import { summaryColumns } from "../reading/selects.ts";
import { summaryOf } from "../../sql/view-rows.ts";

export type NamedEndpoint =
  | { readonly kind: "endpoint"; readonly summary: EndpointSummary; readonly showsGeneratedSecret: boolean }
  | EndpointConflict
  | QuotaExceeded;

/** The endpoint of a draft's URL: the one there if nothing given disagrees with it, else a new one. Nothing is written for a conflict. */
export function nameEndpoint(db: Database, accountId: string, draft: EndpointDraft, quotas: Quotas, nowMs: number): NamedEndpoint {
  const existing = readNamed(db, accountId, draft.url);
  if (existing !== undefined) {
    const fields = differences(db, existing, draft);
    if (fields.length > 0) return { kind: "endpoint_differs", endpointId: text(existing, "id"), fields };
    return { kind: "endpoint", summary: summaryOf(existing, text(existing, "id")), showsGeneratedSecret: false };
  }
  const exceeded = quotas.maxEndpoints === 0 ? null : checkQuota(quotas, "maxEndpoints", usageOf(db, accountId).endpoints);
  if (exceeded !== null) return exceeded;
  const showsGeneratedSecret = makeEndpoint(db, accountId, draft, nowMs);
  const made = readNamed(db, accountId, draft.url);
  if (made === undefined) throw new Error(`no endpoint ${draft.id}`);
  return { kind: "endpoint", summary: summaryOf(made, draft.id), showsGeneratedSecret };
}

function readNamed(db: Database, accountId: string, url: string): Row | undefined {
  const sql = `select p.id, p.headers_fingerprint, ${summaryColumns} from endpoints p join hosts h on h.id = p.host_id where p.account_id = ? and p.url = ?`;
  return db.get(sql, accountId, url);
}

/**
 * A new registration for a disabled endpoint enables it: its owner has named it again. What it is owed begins anew, so
 * that it goes out now, in order, and with the whole schedule before it.
 */
export function enableIfDisabled(db: Database, endpointId: string, nowMs: number): void {
  const changed = db.run(
    `update endpoints set state = 'enabled', reason = null, since = null, consecutive_failures = 0, failing_since = null,
       paused_until = null, paused_since = null, consecutive_pauses = 0, pause_reason = null
     where id = ? and state = 'disabled'`,
    endpointId,
  );
  if (changed === 0) return;
  const owed = db.all(
    "select id, watch_id from deliveries where endpoint_id = ? and status = 'pending' and next_attempt_at is not null",
    endpointId,
  );
  requeue(db, endpointId, owed, nowMs);
}

function differences(db: Database, existing: Row, draft: EndpointDraft): EndpointConflict["fields"] {
  const fields: EndpointConflict["fields"][number][] = [];
  if (draft.format !== null && draft.format !== existing["p_format"]) fields.push("format");
  if (draft.headers !== null) {
    const fingerprint = textOrNull(existing, "headers_fingerprint");
    const same = fingerprint === null ? draft.headers.names.length === 0 : draft.headers.fingerprints.includes(fingerprint);
    if (!same) fields.push("headers");
  }
  if (draft.givenSecret !== null) {
    const current = db.get(
      "select s.fingerprint from endpoint_secrets x join secrets s on s.id = x.secret_id where x.endpoint_id = ? and x.valid_until is null",
      text(existing, "id"),
    );
    if (current === undefined || !draft.givenSecret.fingerprints.includes(text(current, "fingerprint"))) fields.push("signing_secret");
  }
  return fields;
}

/** Whether its secret is the one made for this answer: not the client's own, not the account's default. */
function makeEndpoint(db: Database, accountId: string, draft: EndpointDraft, nowMs: number): boolean {
  db.run("insert into hosts (account_id, origin) values (?, ?) on conflict (account_id, origin) do nothing", accountId, draft.origin);
  const headers = draft.headers?.names.length ? draft.headers : null;
  db.run(
    `insert into endpoints (id, account_id, url, host_id, format, header_names, sealed_headers, headers_fingerprint, signatures, late, state, created_at)
     values (?, ?, ?, (select id from hosts where account_id = ? and origin = ?), ?, ?, ?, ?, '["v1"]', ?, 'enabled', ?)`,
    draft.id,
    accountId,
    draft.url,
    accountId,
    draft.origin,
    draft.format ?? draft.defaultFormat,
    JSON.stringify(headers?.names ?? []),
    headers?.sealed ?? null,
    headers?.fingerprints[0] ?? null,
    draft.late,
    nowMs,
  );
  const defaultSecretId = textOrNull(
    db.get("select default_secret_id from accounts where id = ?", accountId) ?? { default_secret_id: null },
    "default_secret_id",
  );
  const made = draft.givenSecret ?? (defaultSecretId === null ? draft.generatedSecret : null);
  if (made !== null) insertSecret(db, accountId, made, nowMs);
  db.run("insert into endpoint_secrets (endpoint_id, secret_id) values (?, ?)", draft.id, made?.id ?? defaultSecretId);
  return made === draft.generatedSecret;
}
