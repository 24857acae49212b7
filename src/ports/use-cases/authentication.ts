import type { Account, ApiKey } from "../stores/account-store.ts";

export type FoundKey =
  | { readonly kind: "account"; readonly account: Account; readonly key: ApiKey }
  /** A key of the operator, which belongs to no account. */
  | { readonly kind: "operator"; readonly key: ApiKey }
  /** The key had an end, which has passed. */
  | { readonly kind: "ended"; readonly endedAtMs: number };

/** Authenticates requests by API key. */
export interface Authentication {
  /** Resolves with what a key opens; `null` if it is unknown or revoked. Answers are cached for at most 5 s. */
  findByKey(key: string): Promise<FoundKey | null>;
}
