/**
 * Seals what must not lie on disk in the clear. `identity` names the row a secret belongs to (its id): a sealed value
 * copied to another row does not open.
 */
export interface SecretBox {
  seal(plaintext: string, identity: string): Uint8Array;
  /** Throws `secret-unreadable` when the value was sealed with an unknown key, for another row, or was changed. */
  open(sealed: Uint8Array, identity: string): string;
  /** Keyed hashes of a value, the sealing key's first: for equality without opening ("given and different"). They go with their key. */
  fingerprints(plaintext: string): readonly string[];
}

/** A box with what a rotation of its keys asks about. */
export interface KeyedSecretBox extends SecretBox {
  /** Of every key it has, 16 lower-case hex digits; the first one seals, unless `sealFor` says otherwise. */
  readonly keyIds: readonly [string, ...string[]];
  /**
   * From now on the first of its keys seals that all of these others have too, for they must open what is sealed here;
   * its first where they have none in common. `others`: the key ids of each.
   */
  sealFor(others: readonly (readonly string[])[]): void;
}
