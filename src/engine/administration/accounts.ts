import { commandLine } from "../../domain/audit.ts";
import type { Actor } from "../../domain/audit.ts";
import { generateApiKey } from "../../domain/secrets/api-key.ts";
import { environmentKeyName } from "../../domain/secrets/key-name.ts";
import { keyScopes } from "../../domain/secrets/key-scopes.ts";
import type { KeyRights } from "../../domain/secrets/key-scopes.ts";
import { StartupError } from "../../domain/errors.ts";
import { mayNotPlace } from "../../domain/calls/placing.ts";
import type { PlacingRights } from "../../domain/calls/placing.ts";
import { newId } from "../../domain/ids.ts";
import { associatedData } from "../../domain/secrets/sealed-identity.ts";
import { generateSigningKeyPair } from "../../domain/webhooks/signature.ts";
import { maxKeysPerAccount } from "../../ports/stores/account-store.ts";
import type { Account, AccountStore, ApiKeyDraft } from "../../ports/stores/account-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SecretBox } from "../../ports/secret-box.ts";

export type AccountAdministrationOptions = {
  readonly store: AccountStore;
  readonly secretBox: SecretBox;
  readonly hashApiKey: (apiKey: string) => string;
  readonly clock: Pick<Clock, "nowMs">;
};

/** A new key, shown once: the store holds only its hash. */
export type CreatedKey<Owner extends string | null = string> = { readonly accountId: Owner; readonly keyId: string; readonly key: string };

/** Settings of a new key. The defaults are the name `command line`, all scopes and no end. */
export type KeySettings = Partial<KeyRights> & { readonly name?: string };

/** The account of `RINGBACK_API_KEY`. */
export const defaultAccountName = "default";
/** A start that changes an account because its environment says so. */
const environment: Actor = { ...commandLine, name: "environment" };
const createdKeyName = "command line";

/** Creates accounts and API keys for the operator. */
export class AccountAdministration {
  readonly #options: AccountAdministrationOptions;

  constructor(options: AccountAdministrationOptions) {
    this.#options = options;
  }

  /** Creates an account with an ed25519 key and a first API key. The account `default` may always use the source `default`. */
  async createAccount(
    name: string,
    usesDefaultSource: boolean,
    placing: Partial<PlacingRights> = {},
  ): Promise<({ readonly kind: "created" } & CreatedKey) | { readonly kind: "name_taken"; readonly account: Account }> {
    const account = this.#draftAccount(name, usesDefaultSource || name === defaultAccountName, placing);
    const { draft, created } = this.#draftKey(account.id);
    const result = await this.#options.store.createAccount(account, draft);
    return result.kind === "created" ? { kind: "created", ...created } : result;
  }

  /** Creates a key of an account, or with `null` one of the operator. Rejects if the account has as many keys as it may. */
  async createKey<Owner extends string | null>(accountId: Owner, settings: KeySettings = {}): Promise<CreatedKey<Owner>> {
    const { draft, created } = this.#draftKey(accountId, settings);
    const result = await this.#options.store.createKey(draft);
    if (result.kind === "too_many") throw new Error(`the account has ${maxKeysPerAccount} keys; revoke some first`);
    return created;
  }

  /**
   * Creates the account `default` unless it exists, and replaces the key that it has from the environment. Rejects with
   * `StartupError` if the key belongs to another account. `mayPlace` is `null` if the environment does not set it.
   */
  async ensureDefaultAccount(apiKey: string, mayPlace: boolean | null = null): Promise<Account> {
    const { store, hashApiKey, clock } = this.#options;
    const account = await store.ensureAccount(this.#draftAccount(defaultAccountName, true));
    if (mayPlace !== null && mayPlace !== account.placing.mayPlace)
      await store.setAccount({ accountId: account.id, changes: { mayPlace }, by: environment, nowMs: clock.nowMs() });
    const nowMs = clock.nowMs();
    const fingerprints = [hashApiKey(apiKey)];
    const draft = { id: newId("key", nowMs), accountId: account.id, name: environmentKeyName, fingerprints, nowMs };
    const ensured = await store.ensureKey(draft);
    if (ensured.kind === "belongs_to_another")
      throw new StartupError(
        `RINGBACK_API_KEY is a key of ${ensured.accountId === null ? "the operator" : `the account ${ensured.accountId}`}: give the account ${defaultAccountName} another`,
      );
    return account;
  }

  #draftAccount(name: string, usesDefaultSource: boolean, placing: Partial<PlacingRights> = {}): Account {
    const { secretBox, clock } = this.#options;
    const nowMs = clock.nowMs();
    const id = newId("acc", nowMs);
    const { privateKeyPem, publicKey } = generateSigningKeyPair();
    const sealedSigningKey = secretBox.seal(privateKeyPem, associatedData("signing_key", id));
    return {
      id,
      name,
      usesDefaultSource,
      sealedSigningKey,
      publicKey,
      placing: { ...mayNotPlace, ...placing },
      disabledAtMs: null,
      disablings: 0,
      createdAtMs: nowMs,
    };
  }

  #draftKey<Owner extends string | null>(
    accountId: Owner,
    { name = createdKeyName, scopes = accountId === null ? ["read"] : keyScopes, expiresAtMs = null }: KeySettings = {},
  ): { readonly draft: ApiKeyDraft; readonly created: CreatedKey<Owner> } {
    const { hashApiKey, clock } = this.#options;
    const nowMs = clock.nowMs();
    const keyId = newId("key", nowMs);
    const key = generateApiKey();
    const draft = { id: keyId, accountId, name, scopes, expiresAtMs, fingerprints: [hashApiKey(key)], by: commandLine, nowMs };
    return { draft, created: { accountId, keyId, key } };
  }
}

/** Whether a key comes from `RINGBACK_API_KEY`. The next start makes such a key valid again, even after a revocation. */
export function isEnvironmentKey({ name }: { readonly name: string }): boolean {
  return name === environmentKeyName;
}

/** Returns what is wrong with the name of an account, or `null`. A name must not look like an account id. */
export function accountNameFault(name: string): string | null {
  if (!/^[^\p{C}]{1,100}$/u.test(name) || name.trim() !== name)
    return "must be 1 to 100 characters without control characters or space around";
  return name.startsWith("acc_") ? "must not begin with acc_, as ids do" : null;
}
