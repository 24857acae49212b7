import { createSecretKey } from "node:crypto";
import { createSecretBox } from "../adapters/sealing/secret-box.ts";
import { generateHashKey, hashApiKey } from "../domain/secrets/api-key.ts";
import { RingbackError, StartupError } from "../domain/errors.ts";
import { associatedData } from "../domain/secrets/sealed-identity.ts";
import { loadEncryptionKeys } from "../adapters/sealing/encryption-key-file.ts";
import type { KeyedSecretBox } from "../ports/secret-box.ts";
import type { SealedStore } from "../ports/stores/sealed-store.ts";

/** The keys a process works with, which fit the database. */
export type Keyring = {
  readonly secretBox: KeyedSecretBox;
  readonly hashApiKey: (apiKey: string) => string;
  /** The variable or the file the encryption keys come from. */
  readonly origin: string;
};

/**
 * Gets the encryption keys and checks that every one the database was sealed with is among them: what does not open must
 * be noticed now and not at a delivery. Throws `StartupError` naming the key that is missing.
 *
 * API keys are hashed with a key of their own, made once, sealed like everything else and kept through every rotation:
 * nobody knows the API keys any more, so they could not be hashed anew when an encryption key is retired, and clients
 * need no new ones because of it.
 */
export async function openKeyring(
  store: Pick<SealedStore, "readKeyIds" | "ensureHashKey">,
  { given, databasePath }: { readonly given: string | null; readonly databasePath: string | null },
): Promise<Keyring> {
  const keyIdsInUse = await store.readKeyIds();
  const { keys, origin } = loadEncryptionKeys(given, databasePath, keyIdsInUse);
  const secretBox = createSecretBox(keys);
  const missing = keyIdsInUse.filter((keyId) => !secretBox.keyIds.includes(keyId));
  if (missing.length > 0)
    throw new StartupError(
      `the encryption key does not fit the database: it holds values sealed with the key ${missing.join(", ")}, which is not in ${origin}`,
    );
  const identity = associatedData("hash_key", "api_keys");
  const sealed = await store.ensureHashKey("api_keys", secretBox.seal(generateHashKey(), identity));
  const hashKey = createSecretKey(Buffer.from(open(secretBox, sealed, identity), "base64"));
  return { secretBox, hashApiKey: (apiKey) => hashApiKey(apiKey, hashKey), origin };
}

function open(secretBox: KeyedSecretBox, sealed: Uint8Array, identity: string): string {
  try {
    return secretBox.open(sealed, identity);
  } catch (error) {
    if (!(error instanceof RingbackError)) throw error;
    throw new StartupError(`the encryption key does not fit the database: ${error.message}`, { cause: error });
  }
}
