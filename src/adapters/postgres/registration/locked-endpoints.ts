import { decodeId, encodeId } from "../../../domain/ids.ts";
import { chooseSecret, findDifferences } from "../../../domain/deliveries/endpoint-registration.ts";
import type { EndpointSecret } from "../../../domain/deliveries/endpoint-registration.ts";
import { checkQuota } from "../../../domain/quotas.ts";
import type { QuotaExceeded, Quotas } from "../../../domain/quotas.ts";
import type { EndpointSummary } from "../../../ports/stores/read-store.ts";
import type { EndpointConflict, EndpointDraft } from "../../../ports/stores/registration-store.ts";
import type { Row } from "../../sql/rows.ts";
import { id, idOrNull, integerOrNull, json, text, textOrNull } from "../../sql/rows.ts";
import { summaryOf } from "../../sql/view-rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { settlingOf, settlingSelect } from "../../sql/marks/mark-rows.ts";
import { readCounts } from "../reading/stats.ts";
import { summaryColumns } from "../reading/selects.ts";
import { insertEndpoints } from "./endpoints.ts";
import type { NewEndpoint } from "./endpoints.ts";

export type NamedEndpoint =
  | { readonly kind: "endpoint"; readonly summary: EndpointSummary; readonly showsGeneratedSecret: boolean }
  | EndpointConflict
  | QuotaExceeded;

type Named = { readonly accountId: string; readonly draft: EndpointDraft };
type Existing = { readonly row: Row; readonly summary: EndpointSummary; readonly secrets: readonly EndpointSecret[] };

const keyOf = (accountId: string, url: string) => `${accountId} ${url}`;

/**
 * Endpoints that registrations name: the existing one, if it agrees with the draft, or a new one. The accounts are locked, so
 * that no other transaction creates the same endpoint. Existing endpoints are locked as well, so that a concurrent 410 or
 * disabling is either visible here or waits and then sees these registrations.
 */
export class LockedEndpoints {
  readonly #existing: Map<string, Existing>;
  readonly #hostPauses: ReadonlyMap<string, number | null>;
  readonly #defaultSecrets: ReadonlyMap<string, string | null>;
  readonly #endpointCounts: Map<string, number>;
  readonly #created: NewEndpoint[] = [];

  static async load(
    tx: Transaction,
    accounts: readonly Row[],
    named: readonly Named[],
    usage: ReadonlyMap<string, Usage>,
  ): Promise<LockedEndpoints> {
    if (named.length === 0) return new LockedEndpoints([], [], accounts, usage);
    const accountKeys = named.map(({ accountId }) => decodeId(accountId));
    const [endpoints, hosts] = await Promise.all([
      tx.all(
        `select p.id, p.account_id, p.headers_fingerprint, ${summaryColumns},
           (select coalesce(json_agg(json_build_object('fingerprint', s.fingerprint, 'validUntilMs', x.valid_until)), '[]')::text
            from endpoint_secrets x join secrets s on s.id = x.secret_id where x.endpoint_id = p.id) as secrets
         from (select distinct * from unnest($1::bigint[], $2::text[])) as u(account_id, url)
         join endpoints p on p.account_id = u.account_id and p.url = u.url join hosts h on h.id = p.host_id order by p.id for no key update of p`,
        accountKeys,
        named.map(({ draft }) => draft.url),
      ),
      tx.all(
        `select h.account_id, h.origin, h.paused_until from (select distinct * from unnest($1::bigint[], $2::text[])) as u(account_id, origin)
         join hosts h on h.account_id = u.account_id and h.origin = u.origin order by h.id for key share of h`,
        accountKeys,
        named.map(({ draft }) => draft.origin),
      ),
    ]);
    return new LockedEndpoints(endpoints, hosts, accounts, usage);
  }

  private constructor(endpoints: readonly Row[], hosts: readonly Row[], accounts: readonly Row[], usage: ReadonlyMap<string, Usage>) {
    this.#existing = new Map(
      endpoints.map((row) => [
        keyOf(id(row, "acc", "account_id"), text(row, "callback_url")),
        { row, summary: summaryOf(row, id(row, "ep", "id")), secrets: json(row, "secrets") },
      ]),
    );
    this.#hostPauses = new Map(
      hosts.map((row) => [keyOf(id(row, "acc", "account_id"), text(row, "origin")), integerOrNull(row, "paused_until")]),
    );
    this.#defaultSecrets = new Map(accounts.map((row) => [id(row, "acc", "id"), idOrNull(row, "sec", "default_secret_id")]));
    this.#endpointCounts = new Map([...usage].map(([accountId, { endpoints: count }]) => [accountId, count]));
  }

  /** Returns the endpoint for a draft. A conflict or an exceeded quota writes nothing. */
  name({ accountId, draft }: Named, quotas: Quotas, nowMs: number): NamedEndpoint {
    const existing = this.#existing.get(keyOf(accountId, draft.url));
    if (existing !== undefined) {
      const fields = findDifferences(
        {
          format: text(existing.row, "p_format"),
          request: textOrNull(existing.row, "p_request"),
          headersFingerprint: textOrNull(existing.row, "headers_fingerprint"),
          secrets: draft.givenSecret === null ? [] : existing.secrets,
        },
        draft,
        nowMs,
      );
      if (fields.length > 0) return { kind: "endpoint_differs", endpointId: existing.summary.id, fields };
      return { kind: "endpoint", summary: existing.summary, showsGeneratedSecret: false };
    }
    const count = this.#endpointCounts.get(accountId) ?? 0;
    const exceeded = checkQuota(quotas, "maxEndpoints", () => count);
    if (exceeded !== null) return exceeded;
    this.#endpointCounts.set(accountId, count + 1);
    return { kind: "endpoint", ...this.#create(accountId, draft, nowMs) };
  }

  /** Creates an endpoint. Its generated secret is shown unless the client gave one or the account has a default. */
  #create(
    accountId: string,
    draft: EndpointDraft,
    nowMs: number,
  ): { readonly summary: EndpointSummary; readonly showsGeneratedSecret: boolean } {
    const { secret, secretId, isGenerated } = chooseSecret(draft, this.#defaultSecrets.get(accountId) ?? null);
    this.#created.push({ accountId, draft, secret, secretId, nowMs });
    const format = draft.format ?? draft.defaultFormat;
    const pausedUntilMs = this.#hostPauses.get(keyOf(accountId, draft.origin)) ?? null;
    const summary: EndpointSummary = { id: draft.id, state: "enabled", reason: null, format, request: draft.request, pausedUntilMs };
    const headers = draft.headers?.names.length ? draft.headers : null;
    // Later drafts for the same URL are compared with this row.
    const row = {
      p_format: format,
      p_request: draft.request,
      headers_fingerprint: headers?.fingerprints[0] ?? null,
    };
    const secrets = secret === null ? [] : secret.fingerprints.slice(0, 1).map((fingerprint) => ({ fingerprint, validUntilMs: null }));
    this.#existing.set(keyOf(accountId, draft.url), { row, summary, secrets });
    return { summary, showsGeneratedSecret: isGenerated };
  }

  async write(tx: Transaction): Promise<void> {
    await insertEndpoints(tx, this.#created);
  }
}

export type Usage = { readonly activeWatches: number; readonly endpoints: number };

/** Locks accounts for a registration. With `counts`, also reads their usage of the quotas. */
export async function lockAccounts(
  tx: Transaction,
  accountKeys: readonly number[],
  counts: boolean,
): Promise<{ readonly accounts: readonly Row[]; readonly usage: ReadonlyMap<string, Usage> }> {
  const [accounts, ...usage] = await Promise.all([
    tx.all("select id, default_secret_id from accounts where id = any($1) order by id for no key update", accountKeys),
    ...(counts ? accountKeys.map(async (accountKey) => [accountKey, ...(await readUsage(tx, accountKey))] as const) : []),
  ]);
  return {
    accounts,
    usage: new Map(
      usage.map(([accountKey, count, settling]) => [
        encodeId("acc", accountKey),
        { activeWatches: (count.get("watches active") ?? 0) - settling.watches, endpoints: count.get("endpoints") ?? 0 },
      ]),
    ),
  };
}

/** Reads the counts of an account, and how many of the rows marks have settled. Sent together. */
async function readUsage(tx: Transaction, accountKey: number) {
  const [counts, settling] = await Promise.all([readCounts(tx, accountKey), tx.get(`${settlingSelect} where account_id = ?1`, accountKey)]);
  return [counts, settlingOf(settling)] as const;
}
