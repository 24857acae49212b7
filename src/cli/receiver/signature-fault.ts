import { Webhook } from "standardwebhooks";
import { hasForeignCharacters, hasLostCharacters, originalsOf, parse } from "./body-changes.ts";

/** Tolerated distance of a timestamp from the receiver's clock (Standard Webhooks 1.0.0). */
const toleranceSeconds = 300;
const sha256Bytes = 32;

export type SignatureFault =
  | "none"
  | "missing_header"
  | "secret_malformed"
  | "signature_malformed"
  | "signature_truncated"
  | "timestamp_malformed"
  | "clock"
  | "body_reserialised"
  | "body_charset"
  | "body_truncated"
  | "wrong_secret";

export type Diagnosis = { readonly fault: SignatureFault; readonly detail: string };

export type SignedWebhook = {
  readonly secret: string;
  readonly id: string;
  /** The header as received. */
  readonly timestamp: string;
  readonly signature: string;
  readonly body: Buffer;
};

const holds = "the signature is valid: a verifier that refuses it has other bytes, or a key that is not the decoded base64 behind whsec_";

/** Finds the first cause that explains why a signature does not match. `nowMs` is the receiver's clock. */
export function findSignatureFault(webhook: SignedWebhook, nowMs: number): Diagnosis {
  const { id, timestamp, signature, body } = webhook;
  if (id === "" || timestamp === "" || signature === "")
    return { fault: "missing_header", detail: "webhook-id, webhook-timestamp and webhook-signature are all required" };
  const verifier = verifierOf(webhook.secret);
  if (verifier === null)
    return { fault: "secret_malformed", detail: "the secret is not whsec_ and base64; it may be truncated or already decoded" };
  const candidates = signature.split(" ").filter((part) => part.startsWith("v1,"));
  if (candidates.length === 0)
    return { fault: "signature_malformed", detail: "no v1 signature found: expected v1,<base64>, as in the header" };
  if (!/^\d{1,10}$/.test(timestamp)) return misreadTimestamp(timestamp);
  const signs = (text: string) => candidates.includes(verifier.sign(id, new Date(Number(timestamp) * 1000), text));
  const text = body.toString("utf8");
  if (signs(text)) return judgeClock(Number(timestamp), nowMs);
  const cut = candidates.find((candidate) => Buffer.from(candidate.slice(3), "base64").length < sha256Bytes);
  if (cut !== undefined)
    return { fault: "signature_truncated", detail: `a v1 signature has 44 characters of base64, this one has ${cut.length - 3}` };
  for (const { kind, detail, text: original } of originalsOf(body))
    if (signs(original))
      return {
        fault: kind === "charset" ? "body_charset" : "body_reserialised",
        detail: `the body differs from the one that was sent: ${detail}. Verify the raw bytes before ${kind === "charset" ? "decoding" : "parsing"}`,
      };
  if (isCutShort(text))
    return { fault: "body_truncated", detail: `the body ends in the middle after ${body.length} bytes: it was truncated on the way` };
  if (hasLostCharacters(body))
    return {
      fault: "body_charset",
      detail:
        "the body has bytes that are not UTF-8, or characters that stand for lost ones (U+FFFD): it was decoded with another charset. Verify the raw bytes",
    };
  const charset = hasForeignCharacters(body)
    ? "; a wrong charset may be at fault too, because the body has characters that it would change"
    : "";
  return {
    fault: "wrong_secret",
    detail: `the body looks complete, so the secret belongs to another endpoint or is outdated (or webhook-id or webhook-timestamp was changed)${charset}`,
  };
}

function judgeClock(timestampSeconds: number, nowMs: number): Diagnosis {
  const ageSeconds = Math.floor(nowMs / 1000) - timestampSeconds;
  if (Math.abs(ageSeconds) <= toleranceSeconds) return { fault: "none", detail: holds };
  const direction = ageSeconds > 0 ? "old" : "in the future";
  const detail = `the signature is valid, but the timestamp is ${Math.abs(ageSeconds)} s ${direction} (at most ${toleranceSeconds}): `;
  return { fault: "clock", detail: `${detail}${ageSeconds > 0 ? "an old webhook, or this clock is fast" : "this clock is slow"}` };
}

function misreadTimestamp(timestamp: string): Diagnosis {
  const hint = /^\d{13}$/.test(timestamp) ? "it is in milliseconds" : "it is not a number";
  return { fault: "timestamp_malformed", detail: `webhook-timestamp is unix seconds as sent, ${hint}` };
}

function verifierOf(secret: string): Webhook | null {
  try {
    return new Webhook(secret);
  } catch {
    return null;
  }
}

function isCutShort(body: string): boolean {
  return body === "" || (/^\s*\{/.test(body) && parse(body) === undefined);
}
