/**
 * Seals what must not lie on disk in the clear. `identity` names the row a secret belongs to (its id): a sealed value
 * copied to another row does not open.
 */
export interface SecretBox {
  seal(plaintext: string, identity: string): Uint8Array;
  /** Throws `secret-unreadable` when the value was sealed with an unknown key, for another row, or was changed. */
  open(sealed: Uint8Array, identity: string): string;
  /** Keyed hashes of a value, the current key's first: for equality without opening (API keys, "given and different"). */
  fingerprints(plaintext: string): readonly string[];
}
