import { FairCapacity } from "../../../domain/fair-capacity.ts";
import { FairQueue } from "../../../domain/fair-queue.ts";
import { InstanceFencedError, isTransientStoreError, StoreOverloadedError, StoreUnavailableError } from "../../../domain/errors.ts";
import type { OperationFlow } from "../../sql/operation-flows.ts";
import { StatementTimeoutError } from "./failures.ts";

export type BatchQueueOptions<In, Out> = {
  /** Runs a batch and returns the results in the same order. Must settle by `deadlineMs` (monotonic). */
  readonly run: (items: readonly In[], deadlineMs: number) => Promise<readonly Out[]>;
  /** Flow and cost of an item. */
  readonly flow: OperationFlow<readonly [In], Out>;
  /** Key of an item; of each key at most one item runs at a time. */
  readonly keyOf?: (item: In) => string;
  /** Maximum cost of a batch; a single item that costs more is a batch by itself. */
  readonly batchLimit: number;
  /** Maximum number of items of a batch. */
  readonly batchSize?: number;
  /** Limit for the cost of all waiting items, if they are refusable; see `FairCapacity`. */
  readonly queueLimit: number;
};

type Waiting<In, Out> = {
  readonly item: In;
  readonly flow: string;
  readonly cost: number;
  readonly sinceMs: number;
  readonly resolve: (value: Out) => void;
  readonly reject: (error: unknown) => void;
};
/** Items that run together. */
type Batch<In, Out> = {
  readonly items: readonly Waiting<In, Out>[];
  readonly flows: ReadonlySet<string>;
  readonly keys: ReadonlySet<string>;
  readonly isLarge: boolean;
};
type Isolated<In, Out> = { readonly flow: string; readonly items: readonly Waiting<In, Out>[] };

/** Items that wait longer are rejected: a request has 10 s, and the batch needs a part of them. */
const waitLimitMs = 5000;
const answerWithinMs = 8500;
/** Maximum number of items that run alone at the same time, so that they leave connections to the rest of the service. */
const isolatedLimit = 4;
/** Cost from which a batch takes so long that other accounts do not wait for it. */
const largeCost = 250;
/** Maximum number of batches that run at the same time. */
const batchesAtOnce = 2;

/**
 * Group commit: items that arrive while a batch is running form the next batch. Accounts take turns, weighted by cost, and
 * an account's items keep their order. Beside a large batch one more may run, of other accounts: those in the large one are
 * paused. If a batch fails although the database is available, its items are run one by one, so that a faulty item fails alone.
 *
 * A batch that timed out wrote nothing. Its items are tried alone, those of one account one after the other, and beside
 * the batches of other accounts, because the item that caused the timeout may time out again. An account is isolated in
 * this way until an item of it is answered or none waits.
 */
export class BatchQueue<In, Out> {
  readonly #options: BatchQueueOptions<In, Out>;
  readonly #capacity: FairCapacity;
  readonly #waiting = new FairQueue<Waiting<In, Out>>();
  readonly #runs = new Map<Promise<unknown>, Batch<In, Out>>();
  /** Accounts whose items are to run alone. Their flows are paused. */
  #isolated: readonly Isolated<In, Out>[] = [];
  readonly #isolatedFlows = new Set<string>();
  readonly #isolatedRuns = new Set<Promise<void>>();
  #closed = false;

  constructor(options: BatchQueueOptions<In, Out>) {
    this.#options = options;
    this.#capacity = new FairCapacity(options.queueLimit);
  }

  push(item: In): Promise<Out> {
    const { flowOf, costOf, isRefusable } = this.#options.flow;
    if (this.#closed) return Promise.reject(new StoreUnavailableError("the store is closed"));
    const flow = flowOf(item);
    const cost = costOf(item);
    if (isRefusable && !this.#capacity.tryAcquire(flow, cost)) return Promise.reject(new StoreOverloadedError());
    return new Promise((resolve, reject) => {
      this.#waiting.add(flow, { item, flow, cost, sinceMs: performance.now(), resolve, reject }, cost);
      // Items pushed in the same turn of the event loop join the batch.
      if (this.#mayStart) setImmediate(() => this.#start());
    });
  }

  /** Rejects new items and resolves when all accepted ones are settled. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#start();
    while (this.#runs.size > 0 || this.#isolatedRuns.size > 0) await Promise.all([...this.#runs.keys(), ...this.#isolatedRuns]);
  }

  get #mayStart(): boolean {
    return this.#runs.size < batchesAtOnce && [...this.#runs.values()].every(({ isLarge }) => isLarge);
  }

  #start(): void {
    while (this.#mayStart) {
      const batch = this.#next();
      if (batch.items.length === 0) return;
      if (batch.isLarge) for (const flow of batch.flows) this.#waiting.pause(flow);
      const run = this.#runBatch(batch.items).finally(() => {
        this.#runs.delete(run);
        if (batch.isLarge) for (const flow of batch.flows) if (!this.#isolatedFlows.has(flow)) this.#waiting.resume(flow);
        this.#start();
      });
      this.#runs.set(run, batch);
    }
  }

  #next(): Batch<In, Out> {
    const { keyOf, batchLimit, batchSize = Infinity } = this.#options;
    const nowMs = performance.now();
    const items: Waiting<In, Out>[] = [];
    const keys = new Set<string>();
    const running = [...this.#runs.values()];
    let cost = 0;
    for (let next = this.#waiting.peek(); next !== null && items.length < batchSize; next = this.#waiting.peek()) {
      const waiting = next.item;
      if (nowMs - waiting.sinceMs > waitLimitMs) {
        this.#waiting.remove(next);
        this.#release(waiting);
        waiting.reject(tooSlow());
        continue;
      }
      const key = keyOf?.(waiting.item);
      if (items.length > 0 && cost + next.cost > batchLimit) break;
      if (key !== undefined && (keys.has(key) || running.some((batch) => batch.keys.has(key)))) break;
      cost += next.cost;
      if (key !== undefined) keys.add(key);
      this.#waiting.take();
      this.#release(waiting);
      items.push(waiting);
    }
    return { items, flows: new Set(items.map(({ flow }) => flow)), keys, isLarge: cost >= largeCost };
  }

  /** Returns the capacity of an item that has left the queue. */
  #release({ flow, cost }: Waiting<In, Out>): void {
    if (this.#options.flow.isRefusable) this.#capacity.release(flow, cost);
  }

  /** Settles the items of a batch, or isolates them. Never rejects. Returns whether the batch timed out. */
  async #runBatch(batch: readonly Waiting<In, Out>[]): Promise<boolean> {
    const deadlineMs = Math.min(...batch.map(({ sinceMs }) => sinceMs)) + answerWithinMs;
    const items = batch.map(({ item }) => item);
    let results: readonly Out[];
    try {
      results = await this.#options.run(items, deadlineMs);
    } catch (error) {
      const hasTimedOut = error instanceof StatementTimeoutError;
      if (batch.length > 1 && hasTimedOut) this.#isolate(batch);
      else if (batch.length === 1 || isTransientStoreError(error) || error instanceof InstanceFencedError)
        for (const { reject } of batch) reject(error);
      else for (const one of batch) await this.#runBatch([one]);
      return hasTimedOut;
    }
    this.#answer(batch, results);
    return false;
  }

  #answer(batch: readonly Waiting<In, Out>[], results: readonly Out[]): void {
    for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Out);
    const { chargeWritten } = this.#options.flow;
    if (chargeWritten !== undefined && this.#waiting.size > 0)
      for (const result of results) chargeWritten(result, (account, cost) => this.#waiting.charge(account, cost));
  }

  #isolate(batch: readonly Waiting<In, Out>[]): void {
    const flows = [...Map.groupBy(batch, ({ flow }) => flow)].map(([flow, items]) => ({ flow, items }));
    for (const { flow } of flows) {
      this.#isolatedFlows.add(flow);
      this.#waiting.pause(flow);
    }
    // An account with few items does not wait for one with many.
    this.#isolated = [...this.#isolated, ...flows].toSorted((a, b) => a.items.length - b.items.length);
    while (this.#isolated.length > 0 && this.#isolatedRuns.size < isolatedLimit) {
      const run = this.#runIsolated().finally(() => this.#isolatedRuns.delete(run));
      this.#isolatedRuns.add(run);
    }
  }

  async #runIsolated(): Promise<void> {
    for (let [next] = this.#isolated; next !== undefined; [next] = this.#isolated) {
      this.#isolated = this.#isolated.slice(1);
      const { flow } = next;
      const left = [...next.items];
      let isIsolated = true;
      for (;;) {
        const waiting = left.shift() ?? (isIsolated ? this.#takeFrom(flow) : null);
        if (waiting === null) break;
        isIsolated = await this.#runAlone(waiting);
      }
      this.#isolatedFlows.delete(flow);
      this.#waiting.resume(flow);
      this.#start();
    }
  }

  #takeFrom(flow: string): Waiting<In, Out> | null {
    const waiting = this.#waiting.takeFrom(flow);
    if (waiting !== null) this.#release(waiting);
    return waiting;
  }

  /** Returns whether the item was not answered in time. */
  async #runAlone(waiting: Waiting<In, Out>): Promise<boolean> {
    if (performance.now() < waiting.sinceMs + answerWithinMs) return this.#runBatch([waiting]);
    waiting.reject(tooSlow());
    return true;
  }
}

function tooSlow(): StoreUnavailableError {
  return new StoreUnavailableError("the database is too slow");
}
