/** Runs a round of work at a time; whoever asks while one runs is served by another after it. No wish is lost between two. */
export class SerializedRuns {
  readonly #round: () => Promise<void>;
  #isAsked = false;
  #current: Promise<void> | null = null;
  #all: Promise<void> = Promise.resolve();

  constructor(round: () => Promise<void>) {
    this.#round = round;
  }

  /**
   * Asks for a round. Resolves with the end of the one that runs, not of all that are asked for: under load they do not
   * end, and who watches a loop must see it go round. Rejects with what that one threw.
   */
  run(): Promise<void> {
    this.#isAsked = true;
    if (this.#current === null) this.#all = this.#runAll();
    return this.#current ?? this.#all;
  }

  /** Asks for a round, and resolves with the end of one that began after that. Rejects with what it or the one before it threw. */
  async runAgain(): Promise<void> {
    const isRunning = this.#current !== null;
    await this.run();
    // Who waits for the round longest goes on first, and that is whoever begins the next.
    if (isRunning) await this.#current;
  }

  /** Resolves when none runs. */
  ended(): Promise<void> {
    return this.#all;
  }

  async #runAll(): Promise<void> {
    try {
      while (this.#isAsked) {
        this.#isAsked = false;
        this.#current = this.#round();
        await this.#current;
      }
    } catch {
      // Whoever asked was told; who asks next begins anew.
    } finally {
      // In the same turn as the last look at what was asked.
      this.#current = null;
    }
  }
}
