import type { SecretDraft } from "./registration-store.ts";

export type Account = {
  readonly id: string;
  readonly name: string;
  /** Whether the account may use the source `default`. */
  readonly usesDefaultSource: boolean;
  /** ed25519 private key (PKCS #8 PEM), sealed with the associated data `<account id>:ed25519`. */
  readonly sealedSigningKey: Uint8Array;
  /** `whpk_` followed by the 32 public bytes in base64 (Standard Webhooks). */
  readonly publicKey: string;
  readonly createdAtMs: number;
};

/** A new API key. Only its hash is stored. */
export type ApiKeyDraft = {
  readonly id: string;
  readonly accountId: string;
  /** Origin, shown to operators: `environment` (RINGBACK_API_KEY) or `command line`. */
  readonly name: string;
  /** Keyed hashes of the key: any of them finds it, and the first is stored. */
  readonly fingerprints: readonly string[];
  readonly nowMs: number;
};

export type ApiKeyView = {
  readonly id: string;
  readonly name: string;
  readonly createdAtMs: number;
  /** `null` if the key is valid. */
  readonly revokedAtMs: number | null;
};

/** Accounts and API keys. */
export interface AccountStore {
  /** Creates the account unless its name is taken; returns the account of that name. */
  ensureAccount(draft: Account): Promise<Account>;
  /** Creates the account with its first key in one transaction. */
  createAccount(
    draft: Account,
    firstKey: ApiKeyDraft,
  ): Promise<{ readonly kind: "created" } | { readonly kind: "name_taken"; readonly account: Account }>;
  getAccount(accountId: string): Promise<Account | null>;
  /** Finds an account by id or name; `null` if there is none. */
  findAccount(idOrName: string): Promise<Account | null>;
  /** Finds the account of a valid key by the key's hashes; `null` if there is none. */
  findAccountByKey(fingerprints: readonly string[]): Promise<{ readonly account: Account; readonly keyId: string } | null>;
  /** Makes the key valid and the only one of its name. Writes nothing if it belongs to another account. */
  ensureKey(
    draft: ApiKeyDraft,
  ): Promise<{ readonly kind: "ensured" } | { readonly kind: "belongs_to_another"; readonly accountId: string }>;
  /** Adds a key to an existing account. */
  createKey(draft: ApiKeyDraft): Promise<void>;
  /** Lists all keys of an account including revoked ones, oldest first. */
  listKeys(accountId: string): Promise<readonly ApiKeyView[]>;
  /** Revokes a key and returns it; `null` if the id is unknown. */
  revokeKey(request: {
    readonly keyId: string;
    readonly nowMs: number;
  }): Promise<{ readonly key: ApiKeyView; readonly accountId: string } | null>;
  /** Returns the first account; `null` if there is none yet. */
  findOldestAccount(): Promise<Account | null>;
  /** Sets the default signing secret of endpoints that are created later. */
  setDefaultSecret(request: { readonly accountId: string; readonly secret: SecretDraft; readonly nowMs: number }): Promise<void>;
}
