import type { SecretDraft } from "./registration-store.ts";

export type Account = {
  readonly id: string;
  readonly name: string;
  /** May use the operator's `default` source. */
  readonly usesDefaultSource: boolean;
  /** ed25519 private key, PKCS #8 PEM, sealed with identity = the account's id + `:ed25519`. */
  readonly sealedSigningKey: Uint8Array;
  /** `whpk_` and base64 of the 32 public bytes. */
  readonly publicKey: string;
  readonly createdAtMs: number;
};

/** Of a key only its hash is stored, and that is never read back. */
export type ApiKeyDraft = {
  readonly id: string;
  readonly accountId: string;
  /** Where it comes from, for people: `environment` (RINGBACK_API_KEY) or `command line`. */
  readonly name: string;
  /** Keyed hashes of the key; any of them finds it, the first is stored. */
  readonly fingerprints: readonly string[];
  readonly nowMs: number;
};

export type ApiKeyView = {
  readonly id: string;
  readonly name: string;
  readonly createdAtMs: number;
  /** null: it is valid. */
  readonly revokedAtMs: number | null;
};

export interface AccountStore {
  /** Makes the account if its name is free, else returns the one there. */
  ensureAccount(draft: Account): Promise<Account>;
  /** Makes the account with its first key, or neither. */
  createAccount(
    draft: Account,
    firstKey: ApiKeyDraft,
  ): Promise<{ readonly kind: "created" } | { readonly kind: "name_taken"; readonly account: Account }>;
  getAccount(accountId: string): Promise<Account | null>;
  /** By its id or its name. */
  findAccount(idOrName: string): Promise<Account | null>;
  /** The account of a key that is not revoked, by the key's fingerprints; null when there is none. */
  findAccountByKey(fingerprints: readonly string[]): Promise<{ readonly account: Account; readonly keyId: string } | null>;
  /** Keeps the key of the environment in step: known, and the only one of its name. Nothing is written when another account has it. */
  ensureKey(
    draft: ApiKeyDraft,
  ): Promise<{ readonly kind: "ensured" } | { readonly kind: "belongs_to_another"; readonly accountId: string }>;
  /** One more key of an account that is there. */
  createKey(draft: ApiKeyDraft): Promise<void>;
  /** All that an account ever had, revoked ones too, oldest first. */
  listKeys(accountId: string): Promise<readonly ApiKeyView[]>;
  /** From now on it finds no account. `key` is how it stands now; null for an unknown id. */
  revokeKey(request: {
    readonly keyId: string;
    readonly nowMs: number;
  }): Promise<{ readonly key: ApiKeyView; readonly accountId: string } | null>;
  /** null: there is none yet. */
  findOldestAccount(): Promise<Account | null>;
  /** The default secret of endpoints made from now on. */
  setDefaultSecret(request: { readonly accountId: string; readonly secret: SecretDraft; readonly nowMs: number }): Promise<void>;
}
