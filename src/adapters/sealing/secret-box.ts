import { createCipheriv, createDecipheriv, createHash, createHmac, createSecretKey, hkdfSync, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { RingbackError } from "../../domain/errors.ts";
import { drawBytes } from "../../domain/secrets/random-bytes.ts";
import type { KeyedSecretBox } from "../../ports/secret-box.ts";

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const keyIdBytes = 8;
const cipher = "aes-256-gcm";

type BoxKey = { readonly id: string; readonly idBytes: Buffer; readonly cipherKey: KeyObject; readonly fingerprintKey: KeyObject };

export type ParsedKeys =
  | { readonly kind: "keys"; readonly keys: readonly Buffer[] }
  | { readonly kind: "invalid"; readonly detail: string };

// Standard base64 of 32 bytes. Checked here, because Node's decoder ignores characters that are not base64.
const base64Key = /^[A-Za-z0-9+/]{43}=?$/;

/**
 * Parses comma-separated base64 keys of 32 bytes: the first seals, all open. `detail` names an invalid key by its position,
 * never by its value.
 */
export function parseEncryptionKeys(text: string): ParsedKeys {
  const parts = text.split(",").map((part) => part.trim());
  const invalidAt = parts.findIndex((part) => !base64Key.test(part));
  if (invalidAt >= 0)
    return {
      kind: "invalid",
      detail: `key ${invalidAt + 1} of ${parts.length} is not base64 of 32 bytes (openssl rand -base64 32 makes one)`,
    };
  return { kind: "keys", keys: parts.map((part) => Buffer.from(part, "base64")) };
}

/** Generates a key in the form of the key file and the variable. */
export function generateEncryptionKey(): string {
  return randomBytes(keyBytes).toString("base64");
}

/** Returns the id of a key. The id reveals nothing about the key. */
function encryptionKeyId(key: Buffer): string {
  return createHash("sha256")
    .update("ringback key id")
    .update(key)
    .digest("hex")
    .slice(0, keyIdBytes * 2);
}

/**
 * Creates a secret box with AES-256-GCM (NIST SP 800-38D). A sealed value is key id (8 bytes), nonce (12), tag (16) and
 * ciphertext. The identity of the row is associated data, so that a value copied to another row does not open. The first key
 * seals (see `sealFor`), all keys open. `open` throws `RingbackError` with code `secret-unreadable`.
 */
export function createSecretBox(keys: readonly Buffer[]): KeyedSecretBox {
  const boxKeys = keys.map(boxKeyOf);
  const [first, ...older] = boxKeys;
  if (first === undefined) throw new Error("a secret box needs a key");
  let sealingKey = first;
  const keyById = new Map(boxKeys.map((key) => [key.id, key]));
  return {
    keyIds: [first.id, ...older.map(({ id }) => id)],
    get sealingKeyId() {
      return sealingKey.id;
    },
    sealFor(others) {
      sealingKey = boxKeys.find(({ id }) => others.every((keyIds) => keyIds.includes(id))) ?? first;
    },
    seal(plaintext, identity) {
      const nonce = drawBytes(nonceBytes);
      const sealing = createCipheriv(cipher, sealingKey.cipherKey, nonce).setAAD(Buffer.from(identity));
      const ciphertext = Buffer.concat([sealing.update(plaintext, "utf8"), sealing.final()]);
      return Buffer.concat([sealingKey.idBytes, nonce, sealing.getAuthTag(), ciphertext]);
    },
    open(sealed, identity) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      const id = bytes.subarray(0, keyIdBytes).toString("hex");
      const key = keyById.get(id);
      if (key === undefined) throw new RingbackError("secret-unreadable", `sealed with the key ${id}, which is not among those configured`);
      const nonce = bytes.subarray(keyIdBytes, keyIdBytes + nonceBytes);
      const tag = bytes.subarray(keyIdBytes + nonceBytes, keyIdBytes + nonceBytes + tagBytes);
      try {
        const opening = createDecipheriv(cipher, key.cipherKey, nonce, { authTagLength: tagBytes })
          .setAAD(Buffer.from(identity))
          .setAuthTag(tag);
        return Buffer.concat([opening.update(bytes.subarray(keyIdBytes + nonceBytes + tagBytes)), opening.final()]).toString("utf8");
      } catch (error) {
        throw new RingbackError("secret-unreadable", `does not open with the key ${id}: it was changed or belongs to another row`, {
          cause: error,
        });
      }
    },
    fingerprints(plaintext) {
      const ordered = [sealingKey, ...boxKeys.filter((key) => key !== sealingKey)];
      return ordered.map((key) => `${key.id}:${createHmac("sha256", key.fingerprintKey).update(plaintext).digest("base64url")}`);
    },
  };
}

function boxKeyOf(key: Buffer): BoxKey {
  const id = encryptionKeyId(key);
  // Separate keys are derived for each use (HKDF, RFC 5869), so that one use reveals nothing about the other.
  const derive = (use: string) => createSecretKey(Buffer.from(hkdfSync("sha256", key, "", `ringback ${use}`, keyBytes)));
  return { id, idBytes: Buffer.from(id, "hex"), cipherKey: derive("seal"), fingerprintKey: derive("fingerprint") };
}
