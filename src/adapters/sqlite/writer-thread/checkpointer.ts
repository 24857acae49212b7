import { Worker } from "node:worker_threads";
import { keptLogBytes, longestLogPages } from "../connection/open-connection.ts";
import { isFatalCode } from "../connection/result-code.ts";
import type { CheckpointOptions, FromCheckpointWorker, ToCheckpointWorker } from "./checkpoints.ts";

const everyMs = 250;
const everyMsWithoutReads = 10;
/** Interval while the file of the log is too large and no commit follows. A snapshot of another process may have ended. */
const everyMsWithoutCommits = 10_000;
/** Size of the file of the log, 256 MiB, beyond which it is reported. */
const reportedLogBytes = 256 * 1024 * 1024;
/** Maximum time without reads. A backup or the command line may have a snapshot for longer, and then the gap is of no use. */
const gapMs = 1000;
/** Time between two gaps that were of no use. */
const gapSpacingMs = 10_000;

/** Reads of this process. The checkpointer can keep them from starting. */
export type PausableReads = {
  /** Resolves once no read is running. None starts before `resume`. */
  pause(): Promise<void>;
  resume(): void;
};

export type CheckpointerOptions = {
  /** Called when the file of the log has grown beyond `reportedBytes`, once until it is smaller again. */
  readonly onLongLog?: (bytes: number) => void;
  /** 256 MiB unless given. */
  readonly reportedBytes?: number;
};

/**
 * Keeps SQLite's write-ahead log short, in a thread of its own. Automatic checkpoints would run in the writer thread:
 * every 30th commit would copy a thousand pages and wait for the disk two more times, and transitions would wait too.
 *
 * A checkpoint copies only what is older than every snapshot, and the log starts over only while no snapshot needs it. Reads
 * that follow each other without a pause would let the log grow without a bound, so a log that is too long makes a gap
 * between two reads. The gap ends when the log has started over, or when all of it is copied and no commit follows: then
 * later snapshots do not need it, and the next commit starts it over.
 */
export class Checkpointer {
  /** Resolves if the database file cannot be written. Commits are in the log, but the database cannot be trusted any more. */
  readonly fatal: Promise<Error>;
  readonly #fatal = Promise.withResolvers<Error>();
  readonly #worker: Worker;
  readonly #reads: PausableReads;
  readonly #closed: Promise<void>;
  readonly #options: CheckpointerOptions;
  #isReported = false;
  #timer: NodeJS.Timeout | null = null;
  /** Whether the timer is that of a log that no commit follows. */
  #isSlow = false;
  #isRunning = false;
  #hasMore = false;
  #isClosing = false;
  /** End of the gap between two reads; `null` if there is none, infinite while it waits for a running read. */
  #gapEndMs: number | null = null;
  #nextGapMs = 0;
  #lastLogPages = 0;

  /** `path` is of an open database. */
  constructor(path: string, reads: PausableReads, options: CheckpointerOptions = {}) {
    this.#reads = reads;
    this.#options = options;
    const workerData: CheckpointOptions = { path };
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
    else this.#schedule(everyMs);
  }

  /** Ends the thread after the checkpoint under way. May be called twice. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#worker.ref();
    this.#send("close");
    await this.#closed;
  }

  #schedule(delayMs: number): void {
    if (this.#isClosing) return;
    if (this.#timer !== null && this.#isSlow) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    if (this.#timer !== null) return;
    this.#isSlow = delayMs === everyMsWithoutCommits;
    this.#timer = setTimeout(() => this.#start(), delayMs).unref();
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
    this.#followLog(message.kind === "done" ? message : { logPages: -1, copiedPages: -1 });
    if (this.#gapEndMs !== null) this.#schedule(everyMsWithoutReads);
    else if (this.#hasMore) this.#schedule(everyMs);
    else if (message.kind === "done" && message.fileBytes > keptLogBytes) this.#schedule(everyMsWithoutCommits);
    if (message.kind === "done") this.#report(message.fileBytes);
  }

  #report(bytes: number): void {
    const isLong = bytes > (this.#options.reportedBytes ?? reportedLogBytes);
    if (isLong && !this.#isReported) this.#options.onLongLog?.(bytes);
    this.#isReported = isLong;
  }

  /** `logPages` is -1 if it is unknown. */
  #followLog({ logPages, copiedPages }: { readonly logPages: number; readonly copiedPages: number }): void {
    const nowMs = performance.now();
    const isTooLong = logPages >= longestLogPages;
    const isCopied = copiedPages === logPages;
    const hasEnded = logPages >= 0 && (!isTooLong || (isCopied && logPages === this.#lastLogPages));
    this.#lastLogPages = logPages;
    if (this.#gapEndMs === null) {
      if (isTooLong && !isCopied && nowMs >= this.#nextGapMs) this.#beginGap();
    } else if (hasEnded) this.#endGap(0);
    else if (nowMs >= this.#gapEndMs) this.#endGap(gapSpacingMs);
  }

  #beginGap(): void {
    this.#gapEndMs = Infinity;
    void this.#reads.pause().then(() => {
      if (this.#gapEndMs !== null) this.#gapEndMs = performance.now() + gapMs;
    });
  }

  #endGap(spacingMs: number): void {
    this.#gapEndMs = null;
    this.#nextGapMs = performance.now() + spacingMs;
    this.#reads.resume();
  }

  #send(message: ToCheckpointWorker): void {
    this.#worker.postMessage(message);
  }
}
