import { Worker } from "node:worker_threads";
import { isFatalCode } from "../connection/result-code.ts";
import type { CheckpointWorkerOptions, FromCheckpointWorker, ToCheckpointWorker } from "./checkpoint-worker.ts";

const everyMs = 250;

/**
 * Keeps SQLite's write-ahead log short, in a thread of its own. Automatic checkpoints would run in the writer thread:
 * every 30th commit would copy a thousand pages and wait for the disk two more times, and transitions would wait too.
 */
export class Checkpointer {
  /** Resolves if the database file cannot be written. Commits are in the log, but the database cannot be trusted any more. */
  readonly fatal: Promise<Error>;
  readonly #fatal = Promise.withResolvers<Error>();
  readonly #worker: Worker;
  readonly #closed: Promise<void>;
  #timer: NodeJS.Timeout | null = null;
  #isRunning = false;
  #hasMore = false;
  #isClosing = false;

  /** `path` is of an open database. */
  constructor(path: string) {
    const workerData: CheckpointWorkerOptions = { path };
    this.fatal = this.#fatal.promise;
    this.#worker = new Worker(new URL("./checkpoint-worker.ts", import.meta.url), { workerData, execArgv: [] });
    this.#worker.on("message", (message: FromCheckpointWorker) => this.#receive(message));
    this.#worker.on("error", (error) => this.#fatal.resolve(error));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closed = promise;
    this.#worker.on("exit", () => {
      if (!this.#isClosing) this.#fatal.resolve(new Error("the checkpoint thread ended"));
      resolve();
    });
    this.#worker.unref();
  }

  /** Schedules a checkpoint, after a commit. */
  onCommit(): void {
    if (this.#isRunning) this.#hasMore = true;
    else if (!this.#isClosing) this.#timer ??= setTimeout(() => this.#start(), everyMs).unref();
  }

  /** Ends the thread after the checkpoint under way. May be called twice. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#worker.ref();
    this.#send("close");
    await this.#closed;
  }

  #start(): void {
    this.#timer = null;
    this.#isRunning = true;
    this.#hasMore = false;
    this.#send("checkpoint");
  }

  #receive(message: FromCheckpointWorker): void {
    this.#isRunning = false;
    if (message.kind === "failed" && isFatalCode(message.code)) this.#fatal.resolve(new Error(message.message));
    if (this.#hasMore) this.onCommit();
  }

  #send(message: ToCheckpointWorker): void {
    this.#worker.postMessage(message);
  }
}
