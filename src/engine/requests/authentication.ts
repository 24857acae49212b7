import { LRUCache } from "lru-cache";
import type { Account, AccountStore } from "../../ports/stores/account-store.ts";
import type { Authentication } from "../../ports/use-cases/authentication.ts";
import type { Clock } from "../../ports/clock.ts";

export type AuthenticatorOptions = {
  readonly store: Pick<AccountStore, "findAccountByKey">;
  readonly hashApiKey: (apiKey: string) => string;
  readonly clock: Pick<Clock, "monotonicMs">;
};

/** `account` is `null` if the key is unknown or revoked. */
type CachedAccount = { readonly account: Account | null; readonly untilMonotonicMs: number };

/** Less than the 5 s within which a change must apply, because the query of the store takes time too. */
const cacheMs = 4000;
const cacheEntries = 10_000;

/**
 * Finds the account of an API key by the key's keyed hash; neither the cache nor the store ever holds a key. Lookups leak
 * nothing through their timing, because an attacker without the hash key cannot choose the bits of the hash. Answers,
 * also those for unknown keys, are cached for `cacheMs` from before the query: that long a revocation or a new key may
 * take to apply.
 */
export class Authenticator implements Authentication {
  readonly #options: AuthenticatorOptions;
  readonly #cache = new LRUCache<string, CachedAccount>({ max: cacheEntries });

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
    this.#remember(fingerprint, { account: found?.account ?? null, untilMonotonicMs: nowMonotonicMs + cacheMs });
    return found?.account ?? null;
  }

  #remember(fingerprint: string, answer: CachedAccount): void {
    // A slow answer must not replace a newer one.
    const known = this.#cache.get(fingerprint);
    if (known === undefined || known.untilMonotonicMs <= answer.untilMonotonicMs) this.#cache.set(fingerprint, answer);
  }
}
