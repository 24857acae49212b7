import { createHmac, createPrivateKey, createSecretKey, generateKeyPairSync, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { drawBytes } from "../secrets/random-bytes.ts";

const prefix = "whsec_";
const generatedBytes = 24;
const minBytes = 24;
const maxBytes = 64;
const maxEncodedLength = 88;

/** Returns a new signing secret: `whsec_` and base64 of 24 random bytes. */
export function generateSecret(): string {
  return prefix + drawBytes(generatedBytes).toString("base64");
}

/**
 * Whether a text is a usable signing secret: `whsec_` and base64 of 24 to 64 bytes. The base64 is padded and canonical
 * (RFC 4648 section 3.5), because strict decoders of receivers refuse any other.
 */
export function isSigningSecret(text: string): boolean {
  if (!text.startsWith(prefix)) return false;
  const encoded = text.slice(prefix.length);
  if (encoded.length > maxEncodedLength) return false;
  const bytes = Buffer.from(encoded, "base64");
  return bytes.length >= minBytes && bytes.length <= maxBytes && bytes.toString("base64") === encoded;
}

/** Returns the HMAC key of a secret. Callers keep the key, because a key object costs a sixth of the time of a raw buffer. */
export function hmacKeyOf(secret: string): KeyObject {
  return createSecretKey(Buffer.from(secret.slice(prefix.length), "base64"));
}

/** Returns an ed25519 pair for `v1a`: the private key as PKCS #8 PEM, the public one as `whpk_` and base64 of its 32 bytes. */
export function generateSigningKeyPair(): { readonly privateKeyPem: string; readonly publicKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const { x } = publicKey.export({ format: "jwk" });
  return {
    privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    publicKey: `whpk_${Buffer.from(x ?? "", "base64url").toString("base64")}`,
  };
}

/** Reads a private key that `generateSigningKeyPair` returned. */
export function signingKeyOf(privateKeyPem: string): KeyObject {
  return createPrivateKey(privateKeyPem);
}

/**
 * Returns the value of `webhook-signature`: one `v1` for every valid secret, then `v1a` if there is an ed25519 key. The
 * signed text is `id.timestamp.body`, with the body byte for byte (Standard Webhooks 1.0.0, "Signature scheme").
 */
export function signWebhook(
  webhook: { readonly id: string; readonly timestampSeconds: number; readonly body: string },
  keys: { readonly hmac: readonly KeyObject[]; readonly ed25519: KeyObject | null },
): string {
  const signed = `${webhook.id}.${webhook.timestampSeconds}.${webhook.body}`;
  const signatures = keys.hmac.map((key) => `v1,${createHmac("sha256", key).update(signed).digest("base64")}`);
  if (keys.ed25519 !== null) signatures.push(`v1a,${sign(null, Buffer.from(signed), keys.ed25519).toString("base64")}`);
  return signatures.join(" ");
}
