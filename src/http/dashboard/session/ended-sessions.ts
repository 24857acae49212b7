import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Clock } from "../../../ports/clock.ts";
import type { SessionStore } from "../../../ports/stores/session-store.ts";

/** Less than the 5 s within which a stream ends with its session, because its next check takes time too. */
const cacheMs = 2000;
/** Given as a size, because a cache with a number of entries allocates all of them when it is made. */
const cacheEntries = 10_000;

/**
 * Sessions that a user signed out of, on any instance. A cookie is sealed and not stored, so that a copy of it, and a stream on
 * another instance, end only because the store names the session.
 */
export class EndedSessions {
  readonly #store: SessionStore;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #known = new LRUCache<string, { readonly isEnded: boolean; readonly untilMonotonicMs: number }>({
    maxSize: cacheEntries,
    sizeCalculation: () => 1,
  });

  constructor(store: SessionStore, clock: Pick<Clock, "monotonicMs">) {
    this.#store = store;
    this.#clock = clock;
  }

  async end({
    formToken,
    keyId,
    expiresAtMs,
  }: {
    readonly formToken: string;
    readonly keyId: string;
    readonly expiresAtMs: number;
  }): Promise<void> {
    const sessionHash = hashOf(formToken);
    await this.#store.endSession({ sessionHash, keyId, expiresAtMs });
    this.#known.set(sessionHash, { isEnded: true, untilMonotonicMs: Infinity });
  }

  /** Whether a user has signed out of the session with this form token. On another instance it is seen 2 s later at most. */
  async has(formToken: string): Promise<boolean> {
    const sessionHash = hashOf(formToken);
    const known = this.#known.get(sessionHash);
    if (known !== undefined && known.untilMonotonicMs > this.#clock.monotonicMs()) return known.isEnded;
    const untilMonotonicMs = this.#clock.monotonicMs() + cacheMs;
    const isEnded = await this.#store.isSessionEnded(sessionHash);
    // The session may have ended here while the store was read.
    if (this.#known.get(sessionHash)?.isEnded === true) return true;
    this.#known.set(sessionHash, { isEnded, untilMonotonicMs: isEnded ? Infinity : untilMonotonicMs });
    return isEnded;
  }
}

function hashOf(formToken: string): string {
  return createHash("sha256").update(`session ${formToken}`).digest("base64url");
}
