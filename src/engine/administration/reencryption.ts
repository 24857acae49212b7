import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import type { SealedColumn } from "../../domain/secrets/sealed-identity.ts";
import { RingbackError } from "../../domain/errors.ts";
import type { KeyedSecretBox } from "../../ports/secret-box.ts";
import type { ResealedValue, SealedStore, SealedValue } from "../../ports/stores/sealed-store.ts";

export type ReencryptionOptions = {
  readonly store: SealedStore;
  readonly secretBox: KeyedSecretBox;
  /** Checked between batches. */
  readonly signal?: AbortSignal;
  readonly batchSize?: number;
  /** Called after each batch. */
  readonly onBatch?: (done: { readonly place: SealedColumn; readonly total: number }) => void;
};

export type ReencryptionResult = {
  /** Number of resealed values by column. */
  readonly resealed: Readonly<Record<SealedColumn, number>>;
  /** Values that do not open because they were changed or copied from another row; they stay as they are. */
  readonly unreadable: readonly { readonly place: SealedColumn; readonly id: string }[];
  /** Ids of other keys that still seal values, for example those of a running service whose first key is another one. */
  readonly remainingKeyIds: readonly string[];
};

const places: readonly SealedColumn[] = ["hash_key", "signing_key", "secret", "headers", "credential", "answer", "placing"];
const hashedPlaces: ReadonlySet<SealedColumn> = new Set(["secret", "headers"]);

/**
 * Seals all values with the first key, in small batches of one transaction each. A service may run at the same time, and
 * its writes are kept. May be aborted and run again. Recomputes the hashes by which secrets and headers are compared; those
 * of API keys never change (see the keyring).
 */
export async function reencrypt({ store, secretBox, signal, batchSize = 200, onBatch }: ReencryptionOptions): Promise<ReencryptionResult> {
  const [firstKeyId] = secretBox.keyIds;
  const resealed: Record<SealedColumn, number> = {
    hash_key: 0,
    signing_key: 0,
    secret: 0,
    headers: 0,
    credential: 0,
    answer: 0,
    placing: 0,
  };
  const unreadable: ReencryptionResult["unreadable"][number][] = [];
  const otherKeyIds = async () => (await store.readKeyIds()).filter((keyId) => keyId !== firstKeyId);
  for (const keyId of await otherKeyIds())
    for (const place of places) {
      let afterId: string | null = null;
      for (;;) {
        if (signal?.aborted === true) return { resealed, unreadable, remainingKeyIds: await otherKeyIds() };
        const page: readonly SealedValue[] = await store.listSealed({ place, keyId, afterId, limit: batchSize });
        const last = page.at(-1);
        if (last === undefined) break;
        const values = page.flatMap((value) => {
          const resealedValue = reseal(secretBox, value);
          if (resealedValue === null) unreadable.push({ place, id: value.id });
          return resealedValue ?? [];
        });
        resealed[place] += await store.replaceSealed(values);
        afterId = last.id;
        onBatch?.({ place, total: Object.values(resealed).reduce((sum, count) => sum + count, 0) });
      }
    }
  return { resealed, unreadable, remainingKeyIds: await otherKeyIds() };
}

/** Reseals one value; `null` if it does not open. */
function reseal(secretBox: KeyedSecretBox, value: SealedValue): ResealedValue | null {
  const identity = associatedData(value.place, value.id);
  try {
    const plaintext = secretBox.open(value.sealed, identity);
    const fingerprint = hashedPlaces.has(value.place) ? (secretBox.fingerprints(plaintext)[0] ?? null) : null;
    return { ...value, resealed: secretBox.seal(plaintext, identity), fingerprint };
  } catch (error) {
    if (error instanceof RingbackError) return null;
    throw error;
  }
}
