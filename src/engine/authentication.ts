import type { Account, AccountStore } from "../ports/account-store.ts";
import type { Authentication as AuthenticationPort } from "../ports/bridge.ts";
import type { Clock } from "../ports/clock.ts";
import type { SecretBox } from "../ports/secret-box.ts";

const cacheMs = 5000;
const cacheEntries = 10_000;

/**
 * Finds the account of an API key by its keyed hash; neither the cache nor the store ever holds a key. An answer is
 * remembered for 5 s, which is how late a revocation may be noticed; unknown keys are remembered too, in the same bounded map.
 */
export class Authentication implements AuthenticationPort {
  readonly #store: AccountStore;
  readonly #secretBox: SecretBox;
  readonly #clock: Clock;
  readonly #cache = new Map<string, { readonly account: Account | null; readonly untilMonotonicMs: number }>();

  constructor(store: AccountStore, secretBox: SecretBox, clock: Clock) {
    this.#store = store;
    this.#secretBox = secretBox;
    this.#clock = clock;
  }

  async findByKey(key: string): Promise<Account | null> {
    const fingerprints = this.#secretBox.fingerprints(key);
    const [fingerprint] = fingerprints;
    if (fingerprint === undefined) return null;
    const nowMonotonicMs = this.#clock.monotonicMs();
    const cached = this.#cache.get(fingerprint);
    if (cached !== undefined && cached.untilMonotonicMs > nowMonotonicMs) return cached.account;
    const found = await this.#store.findAccountByKey(fingerprints);
    this.#cache.delete(fingerprint);
    if (this.#cache.size >= cacheEntries) this.#forgetOldest();
    this.#cache.set(fingerprint, { account: found?.account ?? null, untilMonotonicMs: nowMonotonicMs + cacheMs });
    return found?.account ?? null;
  }

  #forgetOldest(): void {
    const oldest = this.#cache.keys().next();
    if (!oldest.done) this.#cache.delete(oldest.value);
  }
}
