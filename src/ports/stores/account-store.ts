import type { Actor } from "../../domain/audit.ts";
import type { PlacingRights } from "../../domain/calls/placing.ts";
import type { KeyRights } from "../../domain/secrets/key-scopes.ts";
import type { Notice } from "./call-store.ts";
import type { Page, PageRequest } from "./read-store.ts";
import type { SecretDraft } from "./registration-store.ts";
import type { SendJob } from "./send-job.ts";

export type Account = {
  readonly id: string;
  readonly name: string;
  /** Whether the account may use the source `default`. */
  readonly usesDefaultSource: boolean;
  /** ed25519 private key (PKCS #8 PEM), sealed with the associated data `<account id>:ed25519`. */
  readonly sealedSigningKey: Uint8Array;
  /** `whpk_` followed by the 32 public bytes in base64 (Standard Webhooks). */
  readonly publicKey: string;
  readonly placing: PlacingRights;
  /** When it was disabled; `null` if it is enabled. */
  readonly disabledAtMs: number | null;
  /** Number of times that it was disabled. Sessions, streams and portal links that began at a lower number have ended. */
  readonly disablings: number;
  readonly createdAtMs: number;
};

/** `unchanged`: the account was in the state already. */
export type SetAccountStateResult =
  | { readonly kind: "changed"; readonly account: Account }
  | { readonly kind: "unchanged"; readonly account: Account }
  | { readonly kind: "unknown" }
  | { readonly kind: "being_removed" };

/** Settings of an account to change. What is left out stays. */
export type AccountChanges = Partial<Pick<Account, "usesDefaultSource"> & PlacingRights>;

/** `being_removed`: an earlier removal has begun, and goes on. */
export type RemoveAccountResult = { readonly kind: "removing" } | { readonly kind: "being_removed" } | { readonly kind: "unknown" };

/** An account as the operator sees it. */
export type AccountOverview = {
  readonly id: string;
  readonly name: string;
  /** When it was disabled; `null` if it is enabled. */
  readonly disabledAtMs: number | null;
  readonly activeWatches: number;
  readonly endpoints: number;
  /** Number of hooks, without those that a 410 disabled. */
  readonly hooks: number;
  /** Polls made for it in the last minute that was recorded; 0 if that is more than a minute before the present one. */
  readonly pollsPerMinute: number;
  /** Number of placings since midnight UTC, without those of the sandbox. */
  readonly placedToday: number;
  /** `null` if there was none. As of the last record, which is made once a minute. */
  readonly lastRequestAtMs: number | null;
};

/** Activity of an account within one minute, as one process counted it. */
export type AccountActivity = {
  readonly accountId: string;
  /** Number of the minute since 1970. */
  readonly minute: number;
  /** Polls of calls whose oldest watch is the account's. */
  readonly polls: number;
  /** Time of its last request; `null` if there was none. */
  readonly lastRequestAtMs: number | null;
};

/** A new API key. Only its hash is stored. */
export type ApiKeyDraft = KeyRights & {
  readonly id: string;
  /** `null`: the key belongs to the operator and opens all accounts to look. */
  readonly accountId: string | null;
  /** Name, shown to people. The key of RINGBACK_API_KEY has `environment`. */
  readonly name: string;
  /** Keyed hashes of the key: any of them finds it, and the first is stored. */
  readonly fingerprints: readonly string[];
  readonly by: Actor | null;
  readonly nowMs: number;
};

/** A key as requests know it. */
export type ApiKey = KeyRights & {
  readonly id: string;
  /** `null` for a key of the operator. */
  readonly accountId: string | null;
  readonly name: string;
};

export type ApiKeyView = ApiKey & {
  readonly createdAtMs: number;
  /** To the minute; `null` if the key was never used. */
  readonly lastUsedAtMs: number | null;
  /** `null` if the key was not revoked. */
  readonly revokedAtMs: number | null;
};

/** Use of a key, to the minute. */
export type KeyUse = { readonly keyId: string; readonly usedAtMs: number };

/** Number of keys of an account that are neither revoked nor ended, at most. */
export const maxKeysPerAccount = 1000;

/** Accounts and API keys. */
export interface AccountStore {
  /** Creates the account unless its name is taken; returns the account of that name. */
  ensureAccount(draft: Account): Promise<Account>;
  /** Creates the account with its first key in one transaction. */
  createAccount(
    draft: Account,
    firstKey: ApiKeyDraft,
  ): Promise<{ readonly kind: "created" } | { readonly kind: "name_taken"; readonly account: Account }>;
  /** Changes an account and returns it; `null` if the id is unknown. A running service follows within 5 s. */
  setAccount(request: {
    readonly accountId: string;
    readonly changes: AccountChanges;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<Account | null>;
  /**
   * Disables or enables an account. While it is disabled its calls are polled for other accounts alone, its watches have no
   * deadline and its deliveries are not claimed. Once it is enabled, marks bring back its calls and deliveries.
   */
  setAccountState(request: {
    readonly accountId: string;
    readonly isDisabled: boolean;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<SetAccountStateResult>;
  /**
   * Removes an account: disables it, forgets its keys and removes the sources made for it alone, at once. Its rows are erased by a
   * mark, and its name is free with the last of them. Calls that other accounts watch stay.
   */
  removeAccount(request: { readonly accountId: string; readonly nowMs: number }): Promise<RemoveAccountResult>;
  /** Lists the ids of the accounts that are disabled. */
  listDisabledAccounts(): Promise<readonly string[]>;
  /** Lists all accounts, oldest first. */
  listAccounts(nowMs: number): Promise<readonly AccountOverview[]>;
  /** Adds to what the accounts did. Ignores unknown accounts. */
  recordActivity(activities: readonly AccountActivity[]): Promise<void>;
  /** Reads an account; `null` if the id is unknown. */
  getAccount(accountId: string): Promise<Account | null>;
  /** Finds an account by id or name; `null` if there is none. */
  findAccount(idOrName: string): Promise<Account | null>;
  /** Finds a key that was not revoked, and its account, by the key's hashes; `null` if there is none. A key of the operator has no account. */
  findAccountByKey(
    fingerprints: readonly string[],
    /** Account that the key belonged to when it was last found; `null` if it was not. Only decides the turn of the look-up. */
    knownAccountId: string | null,
  ): Promise<{ readonly account: Account | null; readonly key: ApiKey } | null>;
  /** Makes the key valid with all scopes, without an end, and the only one of its name. Writes nothing if it belongs to another account, or to the operator (`null`). */
  ensureKey(
    draft: Omit<ApiKeyDraft, keyof KeyRights | "accountId" | "by"> & { readonly accountId: string },
  ): Promise<{ readonly kind: "ensured" } | { readonly kind: "belongs_to_another"; readonly accountId: string | null }>;
  /** Adds a key, unless its account has `maxKeysPerAccount` keys, or the key that asks was revoked. */
  createKey(draft: ApiKeyDraft): Promise<{ readonly kind: "created" | "too_many" | "revoked" }>;
  /** Lists all keys of an account including revoked ones, oldest first; with `null` those of the operator. */
  listKeys(accountId: string | null): Promise<readonly ApiKeyView[]>;
  /** Lists a page of the keys of an account including revoked ones, newest first. */
  pageKeys(query: PageRequest & { readonly accountId: string }): Promise<Page<ApiKeyView>>;
  /** Revokes a key and returns it; `null` if the id is unknown. `accountId` revokes a key of that account alone. */
  revokeKey(request: {
    readonly keyId: string;
    readonly accountId: string | null;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<ApiKeyView | null>;
  /** Notes when keys were last used. A use before the one that is noted changes nothing. */
  noteKeyUses(uses: readonly KeyUse[]): Promise<void>;
  /**
   * Publishes `key.expiring` for up to `limit` keys that end by `beforeMs`, once a key. Keys of the operator have no account
   * that could be notified.
   */
  announceExpiringKeys(request: {
    readonly beforeMs: number;
    readonly nowMs: number;
    readonly limit: number;
  }): Promise<{ readonly announced: number; readonly jobs: readonly SendJob[]; readonly notices: readonly Notice[] }>;
  /** Returns the first account; `null` if there is none yet. */
  findOldestAccount(): Promise<Account | null>;
  /** Sets the default signing secret of endpoints that are created later. */
  setDefaultSecret(request: {
    readonly accountId: string;
    readonly secret: SecretDraft;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<void>;
}
