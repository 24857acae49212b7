import { createHmac, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";

/** Crockford's base32 in lower case, without letters that read like digits. All 32 characters are equally likely for a random byte. */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
/** Number of random characters. 40 characters of 5 bits are 200 bits, more than 24 random bytes. */
const characters = 40;

/** Returns a new API key: `rb_` and 40 characters of 5 random bits each. */
export function generateApiKey(): string {
  return `rb_${Array.from(randomBytes(characters), (byte) => alphabet[byte % alphabet.length]).join("")}`;
}

/** Returns a new key for `hashApiKey`: base64 of 32 random bytes. */
export function generateHashKey(): string {
  return randomBytes(32).toString("base64");
}

/**
 * Returns the hash that is stored instead of an API key. Generated keys cannot be guessed from the hash even if `hashKey`
 * leaks. Keys that a person chose are protected as long as `hashKey` is secret.
 */
export function hashApiKey(apiKey: string, hashKey: KeyObject): string {
  return createHmac("sha256", hashKey).update(apiKey).digest("base64url");
}
