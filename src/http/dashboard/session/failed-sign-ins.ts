/** What a client may get wrong in one span before it is told to wait for the span's end. */
const maxFailures = 10;
const spanMs = 60_000;
const rememberedClients = 10_000;

/**
 * Counts wrong keys by client. The right one is never among them and is always taken: who guesses behind the same proxy
 * must not keep the operator out, and a key is too long to be guessed however often. What is remembered is bounded:
 * beyond that the oldest client is forgotten.
 */
export class FailedSignIns {
  readonly #spans = new Map<string, { failures: number; readonly endsAtMonotonicMs: number }>();

  /** Counts a wrong key. Answers how long to wait in milliseconds when there were too many; null: not yet. */
  note(client: string, nowMonotonicMs: number): number | null {
    const span = this.#spans.get(client);
    if (span === undefined || span.endsAtMonotonicMs <= nowMonotonicMs) {
      this.#spans.delete(client);
      if (this.#spans.size >= rememberedClients) this.#forgetOldest();
      this.#spans.set(client, { failures: 1, endsAtMonotonicMs: nowMonotonicMs + spanMs });
      return null;
    }
    if (span.failures >= maxFailures) return span.endsAtMonotonicMs - nowMonotonicMs;
    span.failures += 1;
    return null;
  }

  #forgetOldest(): void {
    const oldest = this.#spans.keys().next();
    if (!oldest.done) this.#spans.delete(oldest.value);
  }
}
