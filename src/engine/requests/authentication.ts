import { LRUCache } from "lru-cache";
import type { Account, AccountStore } from "../../ports/stores/account-store.ts";
import type { Authentication } from "../../ports/use-cases/authentication.ts";
import type { Clock } from "../../ports/clock.ts";

export type AuthenticatorOptions = {
  readonly store: Pick<AccountStore, "findAccountByKey">;
  readonly hashApiKey: (apiKey: string) => string;
  readonly clock: Pick<Clock, "monotonicMs">;
};

/** Less than the 5 s within which a change must apply, because the query of the store takes time too. */
const cacheMs = 4000;
/** Given as a size, because a cache with a number of entries allocates all of them when it is made. */
const cacheEntries = 10_000;

/**
 * Finds the account of an API key by the key's keyed hash; neither the cache nor the store ever holds a key. Lookups leak
 * nothing through their timing, because an attacker without the hash key cannot choose the bits of the hash. Answers, also
 * those for unknown keys, are cached for `cacheMs`, counted from before the query. A revocation or a new key applies after
 * this time at the latest.
 */
export class Authenticator implements Authentication {
  readonly #options: AuthenticatorOptions;
  /** Accounts by the hash of a key; `account` is `null` if the key is unknown or revoked. */
  readonly #cache = new LRUCache<string, { readonly account: Account | null; readonly untilMonotonicMs: number }>({
    maxSize: cacheEntries,
    sizeCalculation: () => 1,
  });

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  async findByKey(key: string): Promise<Account | null> {
    const { store, hashApiKey, clock } = this.#options;
    const fingerprint = hashApiKey(key);
    const nowMonotonicMs = clock.monotonicMs();
    const cached = this.#cache.get(fingerprint);
    if (cached !== undefined && cached.untilMonotonicMs > nowMonotonicMs) return cached.account;
    const found = await store.findAccountByKey([fingerprint]);
    const account = found?.account ?? null;
    const untilMonotonicMs = nowMonotonicMs + cacheMs;
    // A slow answer must not replace a newer one.
    const newest = this.#cache.get(fingerprint);
    if (newest === undefined || newest.untilMonotonicMs <= untilMonotonicMs) this.#cache.set(fingerprint, { account, untilMonotonicMs });
    return account;
  }
}
