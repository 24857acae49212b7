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

export interface AccountStore {
  /** Makes the account if its name is free, else returns the one there. */
  ensureAccount(draft: Account): Promise<Account>;
  getAccount(accountId: string): Promise<Account | null>;
  /** The account of a key that is not revoked, by the key's fingerprints; null when there is none. */
  findAccountByKey(fingerprints: readonly string[]): Promise<{ readonly account: Account; readonly keyId: string } | null>;
  /** Keeps the key of the environment in step: known, and the only one of its name. */
  ensureKey(draft: {
    readonly id: string;
    readonly accountId: string;
    readonly name: string;
    readonly fingerprints: readonly string[];
    readonly nowMs: number;
  }): Promise<void>;
  /** null: there is none yet. */
  findOldestAccount(): Promise<Account | null>;
  /** The default secret of endpoints made from now on. */
  setDefaultSecret(request: { readonly accountId: string; readonly secret: SecretDraft; readonly nowMs: number }): Promise<void>;
}
