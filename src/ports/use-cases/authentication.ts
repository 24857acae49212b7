import type { Account } from "../stores/account-store.ts";

/** Who asks. `findByKey` resolves null for an unknown or revoked key; it is on the path of every request and caches for at most 5 s. */
export interface Authentication {
  findByKey(key: string): Promise<Account | null>;
}
