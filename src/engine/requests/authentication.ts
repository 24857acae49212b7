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

/** Less than the 5 s in which a change must be noticed: the store is asked meanwhile. */
const cacheMs = 4000;
const cacheEntries = 10_000;

/**
 * Finds the account of an API key by its keyed hash; neither the cache nor the store ever holds a key. There is no
 * comparison whose time could tell anything: what is looked up is a hash whose bits nobody can choose who does not have
 * the hash key, so how far a lookup got says nothing of the API key. An answer is remembered for some seconds, counted
 * from before the store was asked, which is how late a revocation or a new key may be noticed; unknown keys are
 * remembered too, in the same bounded map.
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
    // A slow answer must not take the place of a younger one.
    const known = this.#cache.get(fingerprint);
    if (known === undefined || known.untilMonotonicMs <= answer.untilMonotonicMs) this.#cache.set(fingerprint, answer);
  }
}
