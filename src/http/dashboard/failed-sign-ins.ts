/** What a client may get wrong in one span before it must wait for the span's end. */
const maxFailures = 10;
const spanMs = 60_000;
const rememberedClients = 10_000;

/**
 * Bounds how often a client may try keys. An attempt counts from its start, so that many at once are no way around;
 * one that succeeds is taken back. What is remembered is bounded too: beyond that the oldest client is forgotten.
 */
export class FailedSignIns {
  readonly #spans = new Map<string, { failures: number; readonly endsAtMonotonicMs: number }>();

  /** Counts an attempt. Answers how long to wait in milliseconds when it may not be made; null: it may. */
  attempt(client: string, nowMonotonicMs: number): number | null {
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

  succeeded(client: string): void {
    const span = this.#spans.get(client);
    if (span !== undefined) span.failures -= 1;
  }

  #forgetOldest(): void {
    const oldest = this.#spans.keys().next();
    if (!oldest.done) this.#spans.delete(oldest.value);
  }
}
