import type { EndpointDraft } from "../../../ports/stores/registration-store.ts";
import type { Transaction } from "../connection/database.ts";
import { requeue } from "../deliveries/lanes.ts";
import { insertSecrets } from "./secrets.ts";

/** Endpoints are made, and counted against quotas, by whoever has locked their account: the same URL is never made twice. */
export type NewEndpoint = {
  readonly accountId: string;
  readonly draft: EndpointDraft;
  /** null: it signs with the account's default. */
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
      `insert into hosts (account_id, origin) select distinct u.account_id, u.origin from unnest($1::text[], $2::text[]) as u(account_id, origin)
       order by u.account_id, u.origin on conflict (account_id, origin) do nothing`,
      endpoints.map(({ accountId }) => accountId),
      endpoints.map(({ draft }) => draft.origin),
    ),
    secrets.length === 0 ? null : insertSecrets(tx, secrets),
    // A host is there until its last endpoint is deleted: kept by the key share that the foreign key takes.
    tx.run(
      `insert into endpoints (id, account_id, url, host_id, format, header_names, sealed_headers, headers_fingerprint, signatures, late, state, created_at)
       select u.id, u.account_id, u.url, h.id, u.format, u.header_names, u.sealed_headers, u.headers_fingerprint, '["v1"]', u.late, 'enabled', u.created_at
       from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[], $9::text[], $10::bigint[])
         as u(id, account_id, url, origin, format, header_names, sealed_headers, headers_fingerprint, late, created_at)
       join hosts h on h.account_id = u.account_id and h.origin = u.origin`,
      endpoints.map(({ draft }) => draft.id),
      endpoints.map(({ accountId }) => accountId),
      endpoints.map(({ draft }) => draft.url),
      endpoints.map(({ draft }) => draft.origin),
      endpoints.map(({ draft }) => draft.format ?? draft.defaultFormat),
      endpoints.map((endpoint) => JSON.stringify(headersOf(endpoint)?.names ?? [])),
      endpoints.map((endpoint) => headersOf(endpoint)?.sealed ?? null),
      endpoints.map((endpoint) => headersOf(endpoint)?.fingerprints[0] ?? null),
      endpoints.map(({ draft }) => draft.late),
      endpoints.map(({ nowMs }) => nowMs),
    ),
    tx.run(
      "insert into endpoint_secrets (endpoint_id, secret_id) select * from unnest($1::text[], $2::text[])",
      endpoints.map(({ draft }) => draft.id),
      endpoints.map(({ secretId }) => secretId),
    ),
  ]);
}

/**
 * A new registration for a disabled endpoint enables it: its owner has named it again. What it is owed begins anew, so
 * that it goes out now, in order, and with the whole schedule before it. No endpoint is locked before.
 */
export async function enableIfDisabled(tx: Transaction, endpointId: string, nowMs: number): Promise<void> {
  const pendingOf = "from deliveries where endpoint_id = $1 and status = 'pending' and next_attempt_at is not null";
  await tx.run(`select 1 from watches where id = any(array(select watch_id ${pendingOf})) order by id for no key update`, endpointId);
  const changed = await tx.run(
    `update endpoints set state = 'enabled', reason = null, since = null, consecutive_failures = 0, failing_since = null,
       paused_until = null, paused_since = null, consecutive_pauses = 0, pause_reason = null
     where id = $1 and state = 'disabled'`,
    endpointId,
  );
  if (changed > 0) await requeue(tx, endpointId, await tx.all(`select id, watch_id ${pendingOf}`, endpointId), nowMs);
}
