import { isSameTemplate } from "../webhooks/webhook-content.ts";
import type { EndpointFormat } from "../webhooks/webhook-content.ts";

/** Settings of the endpoint that a registration names. A field is `null` if the client left it out. There is one fingerprint for each encryption key. */
type EndpointWish = {
  readonly format: EndpointFormat | null;
  readonly request: string | null;
  readonly headers: { readonly names: readonly string[]; readonly fingerprints: readonly string[] } | null;
  readonly givenSecret: { readonly fingerprints: readonly string[] } | null;
};

/** Secret of an endpoint. `validUntilMs` is `null` for the current one. */
export type EndpointSecret = { readonly fingerprint: string; readonly validUntilMs: number | null };

/** The compared part of an existing endpoint. `headersFingerprint` is `null` if the endpoint has no headers. */
type ExistingEndpoint = {
  readonly format: string;
  readonly request: string | null;
  readonly headersFingerprint: string | null;
  readonly secrets: readonly EndpointSecret[];
};

export type EndpointField = "format" | "request" | "headers" | "signing_secret";

/**
 * Returns the fields in which an existing endpoint differs from a registration. A field that was left out never differs. A
 * secret that still signs does not differ, so that clients that send the previous one go on during the grace of a rotation.
 */
export function findDifferences(
  existing: ExistingEndpoint,
  { format, request, headers, givenSecret }: EndpointWish,
  nowMs: number,
): readonly EndpointField[] {
  const fields: EndpointField[] = [];
  if (format !== null && format !== existing.format) fields.push("format");
  if (request !== null && (existing.request === null || !isSameTemplate(request, existing.request))) fields.push("request");
  if (headers !== null && !hasHeaders(existing, headers)) fields.push("headers");
  if (
    givenSecret !== null &&
    !existing.secrets.some((secret) => signs(secret, nowMs) && givenSecret.fingerprints.includes(secret.fingerprint))
  )
    fields.push("signing_secret");
  return fields;
}

function signs({ validUntilMs }: EndpointSecret, nowMs: number): boolean {
  return validUntilMs === null || validUntilMs > nowMs;
}

function hasHeaders({ headersFingerprint }: ExistingEndpoint, headers: NonNullable<EndpointWish["headers"]>): boolean {
  return headersFingerprint === null ? headers.names.length === 0 : headers.fingerprints.includes(headersFingerprint);
}

/** Returns a registration that takes an existing endpoint as it is. */
export function withoutWishes<Wish extends EndpointWish>(wish: Wish): Wish {
  return { ...wish, format: null, request: null, headers: null, givenSecret: null };
}

/** Secret of a new endpoint. `secret` is to be stored. It is `null` if `secretId` names the default secret of the account. */
export type SecretChoice<Secret> = { readonly secret: Secret | null; readonly secretId: string; readonly isGenerated: boolean };

/** Chooses the secret of a new endpoint: the client's own, else the account's default, else the generated one. */
export function chooseSecret<Secret extends { readonly id: string }>(
  { givenSecret, generatedSecret }: { readonly givenSecret: Secret | null; readonly generatedSecret: Secret },
  defaultSecretId: string | null,
): SecretChoice<Secret> {
  if (givenSecret !== null) return { secret: givenSecret, secretId: givenSecret.id, isGenerated: false };
  if (defaultSecretId !== null) return { secret: null, secretId: defaultSecretId, isGenerated: false };
  return { secret: generatedSecret, secretId: generatedSecret.id, isGenerated: true };
}
