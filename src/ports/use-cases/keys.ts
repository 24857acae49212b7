import type { Actor } from "../../domain/audit.ts";
import type { KeyScope, RightBeyond } from "../../domain/secrets/key-scopes.ts";
import type { Account, ApiKey, ApiKeyView } from "../stores/account-store.ts";
import type { IdempotencyKeyInUse, KeyedRequest } from "./idempotency.ts";

/** Request for a key. Rights that are left out are those of the key that asks. */
export type KeyRequest = {
  readonly name: string;
  readonly scopes?: readonly KeyScope[] | undefined;
  /** `null`: the key has no end. */
  readonly expiresAtMs?: number | null | undefined;
};

export type KeyOutcome =
  /** `key` is shown only in this answer. */
  | { readonly kind: "created"; readonly view: ApiKeyView; readonly key: string }
  | { readonly kind: "beyond"; readonly right: RightBeyond }
  | { readonly kind: "too_many" }
  /** The key that asks was revoked since it was looked up. */
  | { readonly kind: "revoked" };

/** API keys of an account, on request of one of them. */
export interface KeyEditing {
  /** Creates a key that has no right beyond `own`, the key that asks. */
  create(
    account: Account,
    own: ApiKey,
    request: KeyRequest,
    keyed: KeyedRequest<KeyOutcome> | null,
    by: Actor,
  ): Promise<KeyOutcome | IdempotencyKeyInUse>;
  /** Revokes a key of the account, also one that was revoked before. False if the id is unknown. */
  revoke(account: Account, keyId: string, by: Actor): Promise<boolean>;
}
