/**
 * Answers of this process that last as long as their session does. Signing out here ends them at once; a session that ends
 * otherwise, or on another instance, is asked for by the answer itself.
 */
export class OpenStreams {
  readonly #bySession = new Map<string, Set<AbortController>>();

  /** Returns a signal that aborts with the session, and a function to call when the answer has ended. */
  open(formToken: string): { readonly signal: AbortSignal; readonly close: () => void } {
    const ending = new AbortController();
    const streams = this.#bySession.get(formToken) ?? new Set();
    this.#bySession.set(formToken, streams.add(ending));
    const close = () => {
      streams.delete(ending);
      if (streams.size === 0 && this.#bySession.get(formToken) === streams) this.#bySession.delete(formToken);
    };
    return { signal: ending.signal, close };
  }

  /** Ends the answers of a session. */
  end(formToken: string): void {
    for (const ending of this.#bySession.get(formToken) ?? []) ending.abort();
  }
}
