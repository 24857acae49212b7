import { createHmac, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";

/** Crockford's base32 in lower case: no letter that reads like a digit. 32 of them, so that a byte modulo 32 favours none. */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
/** 5 bits each, 200 together: more than 24 random bytes. */
const characters = 40;

/** A new API key: `rb_` and 40 characters of 5 random bits each. */
export function generateApiKey(): string {
  return `rb_${Array.from(randomBytes(characters), (byte) => alphabet[byte % alphabet.length]).join("")}`;
}

/** A new key for `hashApiKey`, as it is sealed: base64 of 32 bytes. */
export function generateHashKey(): string {
  return randomBytes(32).toString("base64");
}

/** What is stored in a key's place. One way for a key of ours whatever becomes of `hashKey`; for one a person chose, as long as that stays secret. */
export function hashApiKey(apiKey: string, hashKey: KeyObject): string {
  return createHmac("sha256", hashKey).update(apiKey).digest("base64url");
}
