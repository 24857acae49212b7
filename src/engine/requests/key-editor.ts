import type { Actor } from "../../domain/audit.ts";
import { newId } from "../../domain/ids.ts";
import { generateApiKey } from "../../domain/secrets/api-key.ts";
import { delegatedRights } from "../../domain/secrets/key-scopes.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Account, AccountStore, ApiKey } from "../../ports/stores/account-store.ts";
import type { IdempotencyKeyInUse, KeyedRequest } from "../../ports/use-cases/idempotency.ts";
import type { KeyEditing, KeyOutcome, KeyRequest } from "../../ports/use-cases/keys.ts";
import type { Idempotency } from "./idempotency.ts";

export type KeyEditorOptions = {
  readonly store: Pick<AccountStore, "revokeKey">;
  readonly idempotency: Pick<Idempotency, "run">;
  readonly hashApiKey: (apiKey: string) => string;
  readonly clock: Pick<Clock, "nowMs">;
  /** Called after a key with an end was created. */
  readonly onExpiringCreated: () => void;
};

/** Creates and revokes keys on request of a key of the same account. */
export class KeyEditor implements KeyEditing {
  readonly #options: KeyEditorOptions;

  constructor(options: KeyEditorOptions) {
    this.#options = options;
  }

  async create(
    account: Account,
    own: ApiKey,
    { name, scopes, expiresAtMs }: KeyRequest,
    keyed: KeyedRequest<KeyOutcome> | null,
    by: Actor,
  ): Promise<KeyOutcome | IdempotencyKeyInUse> {
    const { idempotency, hashApiKey, clock } = this.#options;
    const rights = delegatedRights(own, { scopes, expiresAtMs });
    if (rights.kind === "beyond") return rights;
    const nowMs = clock.nowMs();
    const key = generateApiKey();
    const shown = { id: newId("key", nowMs), accountId: account.id, name, scopes: rights.scopes, expiresAtMs: rights.expiresAtMs };
    const run = await idempotency.run(
      keyed,
      (store) => store.createKey,
      { ...shown, fingerprints: [hashApiKey(key)], by, nowMs },
      (result): KeyOutcome =>
        result.kind === "created"
          ? { kind: "created", view: { ...shown, createdAtMs: nowMs, lastUsedAtMs: null, revokedAtMs: null }, key }
          : { kind: result.kind },
    );
    if (run.kind === "key_taken") return run;
    if (rights.expiresAtMs !== null) this.#options.onExpiringCreated();
    return run.outcome;
  }

  async revoke(account: Account, keyId: string, by: Actor): Promise<boolean> {
    const { store, clock } = this.#options;
    return (await store.revokeKey({ keyId, accountId: account.id, by, nowMs: clock.nowMs() })) !== null;
  }
}
