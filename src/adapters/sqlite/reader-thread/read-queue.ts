import { Worker } from "node:worker_threads";
import { StartupError, StoreOverloadedError, StoreUnavailableError } from "../../../domain/errors.ts";
import { packToReader, unpackFromReader } from "../messages/reader-messages.ts";
import type { PackedFromReader } from "../messages/reader-messages.ts";
import type { OperationNumber } from "../operations.ts";
import type { Answer, Request } from "../writer-thread/group.ts";
import { settle } from "../writer-thread/group-queue.ts";
import type { FromReader, ReaderOptions, ToReader } from "./reader.ts";

export type ReadQueueOptions = ReaderOptions & {
  /** Maximum number of reads without an answer; more are rejected with `StoreOverloadedError`. */
  readonly queueLimit?: number;
  /** Time after which a read without an answer is rejected with `StoreOverloadedError`. */
  readonly deadlineMs?: number;
};

const defaultQueueLimit = 10_000;
const defaultDeadlineMs = 10_000;
const closeTimeoutMs = 10_000;
/** Maximum number of reads that the thread is sent at once. It returns those that it does not start within its time slice. */
const batchLimit = 32;

type Read = {
  readonly request: Request;
  readonly deadlineAtMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
};

/**
 * Queue to the reader thread, which runs one read at a time. A read sees every commit that was answered before the read was
 * requested, in this process or another. The thread has a snapshot only while a read runs.
 */
export class ReadQueue {
  readonly fatal: Promise<Error>;
  readonly #worker: Worker;
  readonly #queueLimit: number;
  readonly #deadlineMs: number;
  readonly #fatal = Promise.withResolvers<Error>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  /** Reads without an answer, in the order of their deadlines. */
  readonly #pending = new Set<Read>();
  #waiting: Read[] = [];
  /** Reads that the thread was sent, in its order. */
  #running: Read[] = [];
  #state: "opening" | "open" | "closing" | "closed" | "broken" = "opening";
  #isPosting = false;
  #deadlineTimer: NodeJS.Timeout | null = null;
  /** Resolves once no read is running; `null` unless reads are paused. */
  #pause: PromiseWithResolvers<void> | null = null;

  /** Starts the thread, which loads its code while the writer opens the database. */
  constructor({ path, queueLimit = defaultQueueLimit, deadlineMs = defaultDeadlineMs }: ReadQueueOptions) {
    const workerData: ReaderOptions = { path };
    this.fatal = this.#fatal.promise;
    this.#queueLimit = queueLimit;
    this.#deadlineMs = deadlineMs;
    // A store whose writer is refused never calls `open`.
    this.#opened.promise.catch(() => undefined);
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData, execArgv: [] });
    this.#worker.on("message", (packed: PackedFromReader) => this.#receive(unpackFromReader(packed)));
    this.#worker.on("error", (error) => this.#break(error));
    this.#worker.on("exit", () => {
      if (this.#state !== "closed") this.#break(new Error("the reader thread ended"));
      this.#closed.resolve();
    });
  }

  /** Opens the connection, once the writer has migrated the database. Rejects with `StartupError`. */
  open(): Promise<void> {
    this.#send({ kind: "open" });
    return this.#opened.promise;
  }

  /** Runs one read. */
  run<Args extends readonly unknown[], Result>(operation: OperationNumber<Args, Result>, args: Args): Promise<Result> {
    if (this.#state !== "open") return Promise.reject(new StoreUnavailableError("the store is closed"));
    if (this.#pending.size >= this.#queueLimit) return Promise.reject(new StoreOverloadedError());
    return new Promise<unknown>((resolve, reject) => {
      const read: Read = { request: { operation, args }, deadlineAtMs: performance.now() + this.#deadlineMs, resolve, reject };
      this.#pending.add(read);
      this.#waiting.push(read);
      this.#deadlineTimer ??= setTimeout(() => this.#rejectLate(), this.#deadlineMs).unref();
      this.#schedule();
    }) as Promise<Result>;
  }

  /** Resolves once no read is running. None starts before `resume`. */
  pause(): Promise<void> {
    this.#pause ??= Promise.withResolvers();
    if (this.#running.length === 0) this.#pause.resolve();
    return this.#pause.promise;
  }

  resume(): void {
    this.#pause?.resolve();
    this.#pause = null;
    this.#post();
  }

  /** Finishes accepted reads for at most 10 s, then closes the connection. May be called twice. */
  async close(): Promise<void> {
    if (this.#state === "opening" || this.#state === "open") {
      this.#state = "closing";
      const timer = setTimeout(() => void this.#worker.terminate(), closeTimeoutMs);
      this.resume();
      await this.#closed.promise;
      clearTimeout(timer);
    }
    await this.#closed.promise;
    this.#endDeadlines();
  }

  /** Chooses the reads that run next. Only this function and `#putBack` decide the order of the reads. */
  #takeNext(): Read[] {
    return this.#waiting.splice(0, batchLimit);
  }

  /** Takes back the reads that were chosen and did not run. */
  #putBack(reads: readonly Read[]): void {
    this.#waiting.unshift(...reads.filter((read) => this.#pending.has(read)));
  }

  /** Posts the reads of this turn of the event loop together. */
  #schedule(): void {
    if (this.#isPosting || this.#running.length > 0) return;
    this.#isPosting = true;
    setImmediate(() => {
      this.#isPosting = false;
      this.#post();
    });
  }

  #post(): void {
    if (this.#running.length > 0 || this.#pause !== null) return;
    this.#running = this.#takeNext();
    if (this.#running.length > 0) this.#send({ kind: "reads", requests: this.#running.map((read) => read.request) });
    else if (this.#state === "closing") this.#send({ kind: "close" });
  }

  #receive(message: FromReader): void {
    switch (message.kind) {
      case "ready":
        if (this.#state === "opening") this.#state = "open";
        this.#opened.resolve();
        return;
      case "refused":
        this.#state = "closed";
        this.#opened.reject(new StartupError(message.message));
        return;
      case "answer":
        this.#answer(message.answer, message.isLast);
        return;
      case "fatal":
        this.#break(new Error(message.message));
        return;
      case "closed":
        this.#state = "closed";
        this.#closed.resolve();
        return;
    }
  }

  #answer(answer: Answer, isLast: boolean): void {
    const read = this.#running.shift();
    if (read !== undefined && this.#pending.delete(read)) settle(read, answer);
    if (!isLast) return;
    this.#putBack(this.#running.splice(0));
    this.#pause?.resolve();
    // Reads that the callers of these answers request in this turn join the next batch.
    this.#schedule();
  }

  #rejectLate(): void {
    this.#deadlineTimer = null;
    const nowMs = performance.now();
    for (const read of this.#pending) {
      if (read.deadlineAtMs > nowMs) {
        this.#deadlineTimer = setTimeout(() => this.#rejectLate(), read.deadlineAtMs - nowMs).unref();
        break;
      }
      this.#pending.delete(read);
      read.reject(new StoreOverloadedError());
    }
    this.#waiting = this.#waiting.filter((read) => this.#pending.has(read));
  }

  #endDeadlines(): void {
    if (this.#deadlineTimer !== null) clearTimeout(this.#deadlineTimer);
    this.#deadlineTimer = null;
  }

  #send(message: ToReader): void {
    this.#worker.postMessage(packToReader(message));
  }

  #break(error: Error): void {
    if (this.#state === "broken" || this.#state === "closed") return;
    this.#state = "broken";
    const unavailable = new StoreUnavailableError(`the database failed: ${error.message}`, { cause: error });
    for (const read of this.#pending) read.reject(unavailable);
    this.#pending.clear();
    this.#waiting = [];
    this.#running = [];
    this.#endDeadlines();
    this.#pause?.resolve();
    this.#opened.reject(new StartupError(`the database cannot be used: ${error.message}`));
    this.#fatal.resolve(unavailable);
    void this.#worker.terminate();
  }
}
