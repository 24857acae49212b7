import type { Account } from "../stores/account-store.ts";

/** Authenticates requests by API key. */
export interface Authentication {
  /** Resolves with the account of a key; `null` if it is unknown or revoked. Answers are cached for at most 5 s. */
  findByKey(key: string): Promise<Account | null>;
}
