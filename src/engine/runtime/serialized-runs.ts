/** Runs `work` one at a time. Requests that arrive during a run share one run after it, so no request is lost. */
export class SerializedRuns {
  readonly #work: () => Promise<void>;
  #isRequested = false;
  #current: Promise<void> | null = null;
  #all: Promise<void> = Promise.resolve();

  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /**
   * Requests a run. Resolves at the end of the current run, because under load requests never end and a supervised loop
   * must complete its rounds. Rejects with the error of that run.
   */
  run(): Promise<void> {
    this.#isRequested = true;
    if (this.#current === null) this.#all = this.#runAll();
    return this.#current ?? this.#all;
  }

  /** Resolves at the end of a run that started after this call. Rejects with the error of that run or the one before it. */
  async runAgain(): Promise<void> {
    const isRunning = this.#current !== null;
    await this.run();
    // `#runAll` awaited the run first, so it has already started the next one.
    if (isRunning) await this.#current;
  }

  /** Resolves when no run is under way or requested. */
  ended(): Promise<void> {
    return this.#all;
  }

  async #runAll(): Promise<void> {
    try {
      while (this.#isRequested) {
        this.#isRequested = false;
        this.#current = this.#work();
        await this.#current;
      }
    } catch {
      // The callers of `run` received the error; the next request starts again.
    } finally {
      // Runs in the same turn as the last check of `#isRequested`, so that no request is lost in between.
      this.#current = null;
    }
  }
}
