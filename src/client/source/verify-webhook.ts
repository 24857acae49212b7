/** Headers of a request: those of `fetch`, or an object as Node has it. */
export type WebhookHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>;

/** Why a webhook is refused. */
export type WebhookFault = "missing_header" | "bad_secret" | "too_old" | "too_new" | "bad_signature" | "not_json";

export type VerifiedWebhook<Payload = unknown> = {
  /** Id of the event: the same on every attempt. Deduplicate by it. */
  readonly id: string;
  /** Time of the attempt. */
  readonly sentAt: Date;
  /** The parsed body if it is JSON, else the body as text. */
  readonly payload: Payload;
};

export class WebhookVerificationError extends Error {
  override readonly name = "WebhookVerificationError";
  readonly fault: WebhookFault;

  constructor(fault: WebhookFault, message: string) {
    super(message);
    this.fault = fault;
  }
}

/** Standard Webhooks 1.0.0 leaves the tolerance to the receiver; its libraries have 5 minutes. */
const toleranceSeconds = 300;

/**
 * Verifies a webhook by Standard Webhooks. `body` is the body as received, byte for byte. `secrets` are signing secrets
 * (`whsec_…`) and public keys of accounts (`whpk_…`), one of which must have signed. Rejects with `WebhookVerificationError`.
 */
export async function verifyWebhook<Payload = unknown>(
  body: string | Uint8Array,
  headers: WebhookHeaders,
  secrets: string | readonly string[],
  { nowMs = Date.now() }: { readonly nowMs?: number } = {},
): Promise<VerifiedWebhook<Payload>> {
  const [id, timestamp, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => headerOf(headers, name));
  if (!id || !timestamp || !signatures)
    throw new WebhookVerificationError("missing_header", "webhook-id, webhook-timestamp and webhook-signature are needed");
  const seconds = /^\d{1,12}$/.test(timestamp) ? Number(timestamp) : NaN;
  const ageSeconds = Math.floor(nowMs / 1000) - seconds;
  if (Number.isNaN(seconds)) throw new WebhookVerificationError("missing_header", "webhook-timestamp is not a number of seconds");
  if (ageSeconds > toleranceSeconds) throw new WebhookVerificationError("too_old", `the webhook was sent ${ageSeconds} s ago`);
  if (ageSeconds < -toleranceSeconds)
    throw new WebhookVerificationError("too_new", `the webhook was sent ${-ageSeconds} s from now: check the clock of this machine`);
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : new Uint8Array(body);
  const head = new TextEncoder().encode(`${id}.${timestamp}.`);
  const signed = new Uint8Array(head.length + bytes.length);
  signed.set(head);
  signed.set(bytes, head.length);
  if (!(await isSigned(signed, signatures, typeof secrets === "string" ? [secrets] : secrets)))
    throw new WebhookVerificationError("bad_signature", "no secret has signed this body: was it changed before it was verified?");
  return { id, sentAt: new Date(seconds * 1000), payload: payloadOf(bytes, headerOf(headers, "content-type")) as Payload };
}

async function isSigned(signed: Uint8Array<ArrayBuffer>, signatures: string, secrets: readonly string[]): Promise<boolean> {
  const keys = await Promise.all(secrets.map(importKey));
  for (const entry of signatures.split(" ")) {
    const comma = entry.indexOf(",");
    const signature = bytesOf(entry.slice(comma + 1));
    if (comma === -1 || signature === null) continue;
    for (const { scheme, algorithm, key } of keys)
      if (entry.slice(0, comma) === scheme && (await crypto.subtle.verify(algorithm, key, signature, signed))) return true;
  }
  return false;
}

async function importKey(secret: string) {
  const isPublic = secret.startsWith("whpk_");
  const bytes = isPublic || secret.startsWith("whsec_") ? bytesOf(secret.slice(secret.indexOf("_") + 1)) : null;
  if (bytes === null) throw new WebhookVerificationError("bad_secret", "a secret must be whsec_ or whpk_ and base64");
  const scheme = isPublic ? "v1a" : "v1";
  const algorithm = isPublic ? { name: "Ed25519" } : { name: "HMAC", hash: "SHA-256" };
  return { scheme, algorithm, key: await crypto.subtle.importKey("raw", bytes, algorithm, false, ["verify"]) };
}

/** Decodes base64; `null` if it is none, or empty. */
function bytesOf(base64: string): Uint8Array<ArrayBuffer> | null {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return null;
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

function payloadOf(bytes: Uint8Array, contentType: string): unknown {
  const text = new TextDecoder().decode(bytes);
  if (!/[/+]json\s*(?:;|$)/i.test(contentType)) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new WebhookVerificationError("not_json", "the body is not the JSON that its content-type says");
  }
}

function headerOf(headers: WebhookHeaders, name: string): string {
  if (headers instanceof Headers) return headers.get(name) ?? "";
  for (const [key, value] of Object.entries(headers))
    if (key.toLowerCase() === name && value !== undefined) return typeof value === "string" ? value : (value[0] ?? "");
  return "";
}
