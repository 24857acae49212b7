import { LRUCache } from "lru-cache";
import { StoreOverloadedError } from "../../domain/errors.ts";
import { hasEnded } from "../../domain/secrets/key-scopes.ts";
import type { AccountStore } from "../../ports/stores/account-store.ts";
import type { Authentication, FoundKey } from "../../ports/use-cases/authentication.ts";
import type { Clock } from "../../ports/clock.ts";

export type AuthenticatorOptions = {
  readonly store: Pick<AccountStore, "findAccountByKey">;
  readonly hashApiKey: (apiKey: string) => string;
  readonly clock: Pick<Clock, "monotonicMs" | "nowMs">;
  /** Called with the id of each key that was accepted. */
  readonly onUsed: (keyId: string) => void;
};

/** Less than the 5 s within which a change must apply, because the query of the store takes time too. */
const cacheMs = 4000;
/** Given as a size, because a cache with a number of entries allocates all of them when it is made. */
const cacheEntries = 10_000;
/** Look-ups of keys that were not found before, at most, that are under way at the same time. */
const maxUnknownLookups = 256;

type ValidKey = Exclude<FoundKey, { readonly kind: "ended" }>;
type Answer = { readonly found: ValidKey | null; readonly untilMonotonicMs: number };

/**
 * Finds the account of an API key by the key's keyed hash; neither the cache nor the store ever holds a key. Lookups leak
 * nothing through their timing, because an attacker without the hash key cannot choose the bits of the hash. Answers, also
 * those for unknown keys, are cached for `cacheMs`, counted from before the query. A revocation or a new key applies after
 * this time at the latest.
 *
 * Anybody may send random keys. Each costs one look-up, in a flow of the store that known keys do not wait in, and a
 * bounded number of them is under way. Answers for unknown keys have a cache of their own, so that they evict no known key.
 */
export class Authenticator implements Authentication {
  readonly #options: AuthenticatorOptions;
  /** Answers by the hash of a key. An answer that is no longer valid still says whose key it was. */
  readonly #known = cacheOfAnswers();
  readonly #unknown = cacheOfAnswers();
  /** Look-ups of unknown keys under way. Requests with the same key share one, as long as its answer would be taken from the cache. */
  readonly #asking = new Map<string, { readonly answer: Promise<ValidKey | null>; readonly untilMonotonicMs: number }>();
  #unknownLookups = 0;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /** The end of a key is judged at every use, so that it needs no new look-up. */
  async findByKey(key: string): Promise<FoundKey | null> {
    const { clock, onUsed } = this.#options;
    const found = await this.#find(key);
    if (found === null) return null;
    if (hasEnded(found.key, clock.nowMs())) return { kind: "ended", endedAtMs: found.key.expiresAtMs ?? 0 };
    onUsed(found.key.id);
    return found;
  }

  async #find(key: string): Promise<ValidKey | null> {
    const { hashApiKey, clock } = this.#options;
    const fingerprint = hashApiKey(key);
    const known = this.#known.get(fingerprint);
    const cached = known ?? this.#unknown.get(fingerprint);
    if (cached !== undefined && cached.untilMonotonicMs > clock.monotonicMs()) return cached.found;
    const owner = known?.found ?? null;
    // The operator waits for the look-ups of unknown keys, of which a bounded number is under way.
    if (owner?.kind === "account") return this.#ask(fingerprint, owner.account.id);
    const asking = this.#asking.get(fingerprint);
    if (asking !== undefined && asking.untilMonotonicMs > clock.monotonicMs()) return asking.answer;
    if (this.#unknownLookups >= maxUnknownLookups) throw new StoreOverloadedError();
    return this.#askForUnknown(fingerprint);
  }

  async #askForUnknown(fingerprint: string): Promise<ValidKey | null> {
    const answer = this.#ask(fingerprint, null);
    const asking = { answer, untilMonotonicMs: this.#options.clock.monotonicMs() + cacheMs };
    this.#asking.set(fingerprint, asking);
    this.#unknownLookups += 1;
    try {
      return await answer;
    } finally {
      this.#unknownLookups -= 1;
      if (this.#asking.get(fingerprint) === asking) this.#asking.delete(fingerprint);
    }
  }

  async #ask(fingerprint: string, knownAccountId: string | null): Promise<ValidKey | null> {
    const { store, clock } = this.#options;
    const untilMonotonicMs = clock.monotonicMs() + cacheMs;
    const found = foundKeyOf(await store.findAccountByKey([fingerprint], knownAccountId));
    // A slow answer must not replace a newer one.
    const newest = Math.max(...[this.#known, this.#unknown].map((cache) => cache.get(fingerprint)?.untilMonotonicMs ?? -Infinity));
    if (newest > untilMonotonicMs) return found;
    const [cache, other] = found === null ? [this.#unknown, this.#known] : [this.#known, this.#unknown];
    cache.set(fingerprint, { found, untilMonotonicMs });
    other.delete(fingerprint);
    return found;
  }
}

function foundKeyOf(row: Awaited<ReturnType<AccountStore["findAccountByKey"]>>): ValidKey | null {
  if (row === null) return null;
  const { account, key } = row;
  return account === null ? { kind: "operator", key } : { kind: "account", account, key };
}

function cacheOfAnswers(): LRUCache<string, Answer> {
  return new LRUCache<string, Answer>({ maxSize: cacheEntries, sizeCalculation: () => 1 });
}
