import type { SealedColumn } from "../../domain/secrets/sealed-identity.ts";

export type SealedValue = {
  readonly place: SealedColumn;
  /** Of its row: the account, secret, endpoint or source, or the name of a hash key. */
  readonly id: string;
  readonly sealed: Uint8Array;
};

export type ResealedValue = SealedValue & {
  readonly resealed: Uint8Array;
  /** The keyed hash beside it, by the key it is sealed with now; null where there is none (secrets and headers have one). */
  readonly fingerprint: string | null;
};

/** The name under which the key of API keys' hashes is kept. */
export type HashKeyName = "api_keys";

export type ServersWithoutKey = {
  /** Were not given the key. */
  readonly lacking: number;
  /** Are just starting: which keys they have they will say. */
  readonly starting: number;
};

/**
 * What lies sealed in the database, by the key that sealed it. A key's id is the first 8 bytes of every value it sealed,
 * 16 lower-case hex digits here.
 */
export interface SealedStore {
  /** Ids of every key that something was sealed with, found without walking through the rows; asked at every start. */
  readKeyIds(): Promise<readonly string[]>;
  /** Values in a place that a key sealed, by id. */
  listSealed(page: {
    readonly place: SealedColumn;
    readonly keyId: string;
    readonly afterId: string | null;
    readonly limit: number;
  }): Promise<readonly SealedValue[]>;
  /** Replaces those that stand as they were read, in one transaction, and says how many did. */
  replaceSealed(values: readonly ResealedValue[]): Promise<number>;
  /** Keeps the first one that is ever given and resolves with the one kept. Sealed with identity = name + `:hash-key`. */
  ensureHashKey(name: HashKeyName, sealed: Uint8Array): Promise<Uint8Array>;
  /** Says at a server's start which keys it was given. */
  setServerKeys(keyIds: readonly string[]): Promise<void>;
  /** Servers that run at this moment and cannot open what is sealed with this key, or have not said yet. */
  findServersWithoutKey(keyId: string): Promise<ServersWithoutKey>;
}
