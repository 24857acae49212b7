import { createHmac, randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";

/** Number of times that a client may send one wrong key within a span, and number of wrong keys, before it must wait for the end of the span. */
const maxRepeats = 10;
const maxFailures = 100;
const spanMs = 60_000;
/** Given as a size, because a cache with a number of entries allocates all of them when it is made. */
const rememberedSpans = 10_000;

type Span = { failures: number; readonly endsAtMonotonicMs: number };

/**
 * Counts wrong keys by client and key, and by client with a higher limit: users behind one proxy share an address, and one
 * of them who sends a wrong key again and again must not count for the others. A valid key is never counted and always
 * accepted, because keys are too long to be guessed. The number of counts is bounded; beyond it the oldest one is evicted.
 */
export class FailedSignIns {
  readonly #byKey = spans();
  readonly #byClient = spans();
  /** Keys are remembered as hashes that mean nothing outside of this process. */
  readonly #hashKey = randomBytes(32);

  /** Counts a wrong key. Returns the milliseconds to wait if there were too many, else `null`. */
  note(client: string, key: string, nowMonotonicMs: number): number | null {
    const hash = createHmac("sha256", this.#hashKey).update(`${client}\n${key}`).digest("base64url");
    return count(this.#byKey, hash, maxRepeats, nowMonotonicMs) ?? count(this.#byClient, client, maxFailures, nowMonotonicMs);
  }
}

function spans(): LRUCache<string, Span> {
  return new LRUCache<string, Span>({ maxSize: rememberedSpans, sizeCalculation: () => 1 });
}

function count(spansOf: LRUCache<string, Span>, name: string, max: number, nowMonotonicMs: number): number | null {
  const span = spansOf.peek(name);
  if (span === undefined || span.endsAtMonotonicMs <= nowMonotonicMs) {
    spansOf.set(name, { failures: 1, endsAtMonotonicMs: nowMonotonicMs + spanMs });
    return null;
  }
  if (span.failures >= max) return span.endsAtMonotonicMs - nowMonotonicMs;
  span.failures += 1;
  return null;
}
