import { createSecretKey } from "node:crypto";
import { createSecretBox } from "../adapters/sealing/secret-box.ts";
import { generateHashKey, hashApiKey } from "../domain/secrets/api-key.ts";
import { RingbackError, StartupError } from "../domain/errors.ts";
import { associatedData } from "../domain/secrets/sealed-identity.ts";
import { loadEncryptionKeys } from "../adapters/sealing/encryption-key-file.ts";
import type { KeyedSecretBox } from "../ports/secret-box.ts";
import type { SealedStore } from "../ports/stores/sealed-store.ts";

/** Keys of this process, after their check against the database. */
export type Keyring = {
  readonly secretBox: KeyedSecretBox;
  readonly hashApiKey: (apiKey: string) => string;
  /** Returns a keyed hash of another text than an API key. */
  readonly keyedHash: (text: string) => string;
  /** The variable or file of the encryption keys. */
  readonly origin: string;
};

/**
 * Loads the encryption keys and checks that they include every key that seals values in the database, so that a missing key
 * is found at the start and not at a delivery. Rejects with `StartupError`, which names the missing key.
 *
 * API keys are hashed with a separate key, which is created once, sealed like other values and kept through all rotations:
 * API keys are not stored, so they could not be hashed again when an encryption key is retired.
 */
export async function openKeyring(
  store: Pick<SealedStore, "readKeyIds" | "ensureHashKey">,
  { encryptionKeys, databasePath }: { readonly encryptionKeys: string | null; readonly databasePath: string | null },
): Promise<Keyring> {
  const keyIdsInUse = await store.readKeyIds();
  const { keys, origin } = loadEncryptionKeys(encryptionKeys, databasePath, keyIdsInUse);
  const secretBox = createSecretBox(keys);
  const missing = keyIdsInUse.filter((keyId) => !secretBox.keyIds.includes(keyId));
  if (missing.length > 0)
    throw new StartupError(
      `the encryption key does not fit the database: it holds values sealed with the key ${missing.join(", ")}, which is not in ${origin}`,
    );
  const identity = associatedData("hash_key", "api_keys");
  const sealed = await store.ensureHashKey("api_keys", secretBox.seal(generateHashKey(), identity));
  const hashKey = createSecretKey(Buffer.from(open(secretBox, sealed, identity), "base64"));
  // No API key has a blank, so that the two uses of the key cannot meet.
  const keyedHash = (text: string) => hashApiKey(`text ${text}`, hashKey);
  return { secretBox, hashApiKey: (apiKey) => hashApiKey(apiKey, hashKey), keyedHash, origin };
}

function open(secretBox: KeyedSecretBox, sealed: Uint8Array, identity: string): string {
  try {
    return secretBox.open(sealed, identity);
  } catch (error) {
    if (!(error instanceof RingbackError)) throw error;
    throw new StartupError(`the encryption key does not fit the database: ${error.message}`, { cause: error });
  }
}
