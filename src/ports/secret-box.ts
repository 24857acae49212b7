/**
 * Seals values that must not be stored in the clear (AES-256-GCM). `identity` is the associated data, which names the row
 * of a value: a sealed value that is copied to another row does not open.
 */
export interface SecretBox {
  /** Id of the key that `seal` uses now. */
  readonly sealingKeyId: string;
  /** Returns the sealed value. Only `open` with the same `identity` returns the plain text. */
  seal(plaintext: string, identity: string): Uint8Array;
  /** Throws `RingbackError` with code `secret-unreadable` if the value was sealed with an unknown key or for another row, or was changed. */
  open(sealed: Uint8Array, identity: string): string;
  /** Returns keyed hashes of a value, that of the sealing key first, to compare values without opening them. */
  fingerprints(plaintext: string): readonly string[];
}

/** Secret box whose keys can be rotated. */
export interface KeyedSecretBox extends SecretBox {
  /** Id of every key, 16 lower-case hex digits; the first key seals unless `sealFor` selects another. */
  readonly keyIds: readonly [string, ...string[]];
  /**
   * Seals with the first key that all other instances have too, so that they can open the values; with the first key if
   * there is none. `others` holds the key ids of each instance.
   */
  sealFor(others: readonly (readonly string[])[]): void;
}
