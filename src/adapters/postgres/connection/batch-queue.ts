import { InstanceFencedError, StoreOverloadedError, StoreUnavailableError } from "../../../domain/errors.ts";

export type BatchQueueOptions<In, Out> = {
  /** Runs a batch and returns the results in the same order. Must settle by `deadlineMs` (monotonic). */
  readonly run: (items: readonly In[], deadlineMs: number) => Promise<readonly Out[]>;
  /** Weight of an item; 1 if omitted. */
  readonly weightOf?: (item: In) => number;
  /** Key of an item; a batch has at most one item of each key. */
  readonly keyOf?: (item: In) => string;
  /** Maximum weight of a batch; a single heavier item is a batch by itself. */
  readonly batchLimit: number;
  /** Maximum number of waiting items; further ones are rejected with `StoreOverloadedError`. */
  readonly queueLimit: number;
};

type Waiting<In, Out> = {
  readonly item: In;
  readonly sinceMs: number;
  readonly resolve: (value: Out) => void;
  readonly reject: (error: unknown) => void;
};

/** Items that wait longer are rejected: a request has 10 s, and the batch needs a part of them. */
const waitLimitMs = 5000;
const answerWithinMs = 9000;

/**
 * Group commit: items that arrive while a batch is running form the next batch, in the order of arrival. If a batch fails
 * although the database is available, its items are run one by one, so that a faulty item fails alone.
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
      // Items pushed in the same turn of the event loop join the batch.
      if (this.#running === null) setImmediate(() => this.#start());
    });
  }

  /** Rejects new items and resolves when all accepted ones are settled. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#start();
    while (this.#running !== null) await this.#running;
  }

  #start(): void {
    if (this.#running !== null || this.#waiting.length === 0) return;
    this.#running = this.#runAll().finally(() => {
      this.#running = null;
      // Items may have arrived after the last check.
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
      const results = await this.#options.run(
        batch.map(({ item }) => item),
        deadlineMs,
      );
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Out);
    } catch (error) {
      if (batch.length === 1 || error instanceof StoreUnavailableError || error instanceof InstanceFencedError)
        for (const { reject } of batch) reject(error);
      else for (const one of batch) await this.#runBatch([one]);
    }
  }
}
