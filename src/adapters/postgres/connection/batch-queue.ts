import { InstanceFencedError, StoreOverloadedError, StoreUnavailableError } from "../../../domain/errors.ts";

export type BatchQueueOptions<In, Out> = {
  /** All of them together; the answers in the same order. Rejects by `deadlineMs` (monotonic) at the latest. */
  readonly run: (items: readonly In[], deadlineMs: number) => Promise<readonly Out[]>;
  /** What an item counts for; 1 if left out. */
  readonly weightOf?: (item: In) => number;
  /** Items of which two must not be in one batch have the same key. */
  readonly keyOf?: (item: In) => string;
  /** Weight of a batch at most, but for a single item that is heavier. */
  readonly batchLimit: number;
  /** Items waiting at most; beyond it they are refused with `StoreOverloadedError`. */
  readonly queueLimit: number;
};

type Waiting<In, Out> = {
  readonly item: In;
  readonly sinceMs: number;
  readonly resolve: (value: Out) => void;
  readonly reject: (error: unknown) => void;
};

/** Who waits longer is refused: a request has 10 s, and the batch needs its share of them. */
const waitLimitMs = 5000;
const answerWithinMs = 9000;

/**
 * Group commit: while one batch is under way the next one gathers. Items are taken in the order they came. A batch that
 * fails for a reason of its own (no trouble of the database) is run again item by item, so that what fails fails alone.
 */
export class BatchQueue<In, Out> {
  readonly #options: BatchQueueOptions<In, Out>;
  #waiting: Waiting<In, Out>[] = [];
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(options: BatchQueueOptions<In, Out>) {
    this.#options = options;
  }

  push(item: In): Promise<Out> {
    if (this.#closed) return Promise.reject(new StoreUnavailableError("the store is closed"));
    if (this.#waiting.length >= this.#options.queueLimit) return Promise.reject(new StoreOverloadedError());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, sinceMs: performance.now(), resolve, reject });
      // The rest of this turn of the loop joins the batch.
      if (this.#running === null) setImmediate(() => this.#start());
    });
  }

  /** Resolves when everything accepted is answered. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#start();
    while (this.#running !== null) await this.#running;
  }

  #start(): void {
    if (this.#running !== null || this.#waiting.length === 0) return;
    this.#running = this.#runAll().finally(() => {
      this.#running = null;
      // Whoever came after the last look.
      this.#start();
    });
  }

  async #runAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#next();
      if (batch.length > 0) await this.#runBatch(batch);
    }
  }

  #next(): readonly Waiting<In, Out>[] {
    const { weightOf = () => 1, keyOf, batchLimit } = this.#options;
    const nowMs = performance.now();
    const batch: Waiting<In, Out>[] = [];
    const later: Waiting<In, Out>[] = [];
    const keys = new Set<string>();
    let weight = 0;
    for (const [index, waiting] of this.#waiting.entries()) {
      if (nowMs - waiting.sinceMs > waitLimitMs) {
        waiting.reject(new StoreUnavailableError("the database is too slow"));
        continue;
      }
      const key = keyOf?.(waiting.item);
      if (key !== undefined && keys.has(key)) {
        later.push(waiting);
        continue;
      }
      weight += weightOf(waiting.item);
      if (batch.length > 0 && weight > batchLimit) {
        later.push(...this.#waiting.slice(index));
        break;
      }
      if (key !== undefined) keys.add(key);
      batch.push(waiting);
    }
    this.#waiting = later;
    return batch;
  }

  async #runBatch(batch: readonly Waiting<In, Out>[]): Promise<void> {
    const deadlineMs = Math.min(...batch.map(({ sinceMs }) => sinceMs)) + answerWithinMs;
    try {
      const answers = await this.#options.run(
        batch.map(({ item }) => item),
        deadlineMs,
      );
      for (const [index, { resolve }] of batch.entries()) resolve(answers[index] as Out);
    } catch (error) {
      if (batch.length === 1 || error instanceof StoreUnavailableError || error instanceof InstanceFencedError)
        for (const { reject } of batch) reject(error);
      else for (const one of batch) await this.#runBatch([one]);
    }
  }
}
