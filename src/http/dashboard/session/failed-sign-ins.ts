import { LRUCache } from "lru-cache";

/** Number of wrong keys that a client may send within one span before it must wait for the end of the span. */
const maxFailures = 10;
const spanMs = 60_000;
/** Given as a size, because a cache with a number of entries allocates all of them when it is made. */
const rememberedClients = 10_000;

/**
 * Counts wrong keys by client. A valid key is never counted and always accepted: a client behind the same proxy that
 * guesses keys must not lock the operator out, and keys are too long to be guessed. The number of clients is bounded;
 * beyond it the oldest one is evicted.
 */
export class FailedSignIns {
  readonly #spans = new LRUCache<string, { failures: number; readonly endsAtMonotonicMs: number }>({
    maxSize: rememberedClients,
    sizeCalculation: () => 1,
  });

  /** Counts a wrong key. Returns the milliseconds to wait if there were too many, else `null`. */
  note(client: string, nowMonotonicMs: number): number | null {
    const span = this.#spans.peek(client);
    if (span === undefined || span.endsAtMonotonicMs <= nowMonotonicMs) {
      this.#spans.set(client, { failures: 1, endsAtMonotonicMs: nowMonotonicMs + spanMs });
      return null;
    }
    if (span.failures >= maxFailures) return span.endsAtMonotonicMs - nowMonotonicMs;
    span.failures += 1;
    return null;
  }
}
