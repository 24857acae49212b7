import type { SealedColumn } from "../../domain/secrets/sealed-identity.ts";

export type SealedValue = {
  readonly place: SealedColumn;
  /** Id of its account, secret, endpoint or source, or the name of a hash key. */
  readonly id: string;
  readonly sealed: Uint8Array;
};

export type ResealedValue = SealedValue & {
  readonly resealed: Uint8Array;
  /** New keyed hash of the value; `null` unless it is a secret or headers. */
  readonly fingerprint: string | null;
};

/** Name of the key with which API keys are hashed. */
export type HashKeyName = "api_keys";

export type ServersWithoutKey = {
  /** Number of servers without the key. */
  readonly lacking: number;
  /** Number of servers that are still starting and have not reported their keys. */
  readonly starting: number;
};

/**
 * Sealed values, by the key that sealed them. A key id is the first 8 bytes of every value that the key sealed, written as
 * 16 lower-case hex digits.
 */
export interface SealedStore {
  /** Returns the ids of all keys that seal values. Read at every start, so it does not scan the rows. */
  readKeyIds(): Promise<readonly string[]>;
  /** Returns a page of the values of a column that a key sealed, by id. */
  listSealed(page: {
    readonly place: SealedColumn;
    readonly keyId: string;
    readonly afterId: string | null;
    readonly limit: number;
  }): Promise<readonly SealedValue[]>;
  /** Replaces the values that did not change since they were read, in one transaction; returns their number. */
  replaceSealed(values: readonly ResealedValue[]): Promise<number>;
  /** Stores a hash key unless there is one, and returns the stored one; sealed with the associated data `<name>:hash-key`. */
  ensureHashKey(name: HashKeyName, sealed: Uint8Array): Promise<Uint8Array>;
  /** Reports the keys of a server at its start. */
  setServerKeys(keyIds: readonly string[]): Promise<void>;
  /** Counts the running servers that cannot open values of this key, or have not reported their keys. */
  findServersWithoutKey(keyId: string): Promise<ServersWithoutKey>;
}
