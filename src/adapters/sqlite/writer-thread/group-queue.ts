import { stackOf } from "../../../domain/error-text.ts";
import { Worker } from "node:worker_threads";
import { CursorInvalidError, RingbackError, StartupError, StoreOverloadedError, StoreUnavailableError } from "../../../domain/errors.ts";
import type { Clock } from "../../../ports/clock.ts";
import type { AnswerDraft } from "../../../ports/stores/idempotency-store.ts";
import { systemClock } from "../../clock.ts";
import type { Answer, ClaimedResult, DraftResult, Request } from "./group.ts";
import type { ConnectionRole } from "../connection/open-connection.ts";
import type { FromWorker, ToWorker, WorkerOptions } from "./worker.ts";

export type GroupQueueOptions = Pick<WorkerOptions, "path" | "policy"> & {
  /** In place of the machine's. */
  readonly clock?: Pick<Clock, "nowMs">;
  /** How long the commit of each group that wrote took. */
  readonly onCommitted?: (durationMs: number) => void;
  /** Operations waiting at most; beyond it they are refused with `StoreOverloadedError`. */
  readonly queueLimit?: number;
};

const defaultQueueLimit = 10_000;
const groupLimit = 1000;
const closeTimeoutMs = 10_000;

type DraftAnswer = (result: unknown) => AnswerDraft | null;
type Waiting = {
  readonly request: Request;
  /** Of a claimed request. */
  readonly draftAnswer: DraftAnswer | null;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
};

/**
 * Group commit: while the worker is busy with one group the next one gathers; its answers arrive after its commit. The
 * order of calls is the order of execution. Who is patient begins no group of its own until its patience has ended.
 */
export class GroupQueue {
  /** Resolves with the number of migrations it took. */
  readonly opened: Promise<number>;
  readonly fatal: Promise<Error>;
  readonly #worker: Worker;
  readonly #queueLimit: number;
  readonly #onCommitted: (durationMs: number) => void;
  readonly #closed = Promise.withResolvers<void>();
  readonly #fatal = Promise.withResolvers<Error>();
  readonly #opened = Promise.withResolvers<number>();
  #waiting: Waiting[] = [];
  #running: readonly Waiting[] = [];
  #state: "open" | "closing" | "closed" | "broken" = "open";
  /** Whether the next group begins as soon as none is running; else everybody who waits is patient. */
  #isDue = false;
  #lingerTimer: NodeJS.Timeout | null = null;

  constructor(options: GroupQueueOptions, role: ConnectionRole) {
    const workerData: WorkerOptions = { path: options.path, policy: options.policy, role, nowMs: (options.clock ?? systemClock).nowMs() };
    this.#queueLimit = options.queueLimit ?? defaultQueueLimit;
    this.#onCommitted = options.onCommitted ?? (() => undefined);
    this.opened = this.#opened.promise;
    this.fatal = this.#fatal.promise;
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData, execArgv: [] });
    this.#worker.on("message", (message: FromWorker) => this.#receive(message));
    this.#worker.on("error", (error) => this.#break(error));
    this.#worker.on("exit", () => {
      if (this.#state !== "closed") this.#break(new Error("the database thread ended"));
      this.#closed.resolve();
    });
  }

  /** `lingerMs`: how long it may wait for a group that somebody else begins. */
  run(
    request: Request,
    { draftAnswer = null, lingerMs = 0 }: { readonly draftAnswer?: DraftAnswer | null; readonly lingerMs?: number } = {},
  ): Promise<unknown> {
    if (this.#state !== "open") return Promise.reject(new StoreUnavailableError("the store is closed"));
    if (this.#waiting.length >= this.#queueLimit) return Promise.reject(new StoreOverloadedError());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, draftAnswer, resolve, reject });
      if (lingerMs > 0) this.#lingerTimer ??= setTimeout(() => this.#fallDue(), lingerMs);
      // The rest of this turn of the loop joins the group.
      else if (!this.#isDue) setImmediate(() => this.#post());
      this.#isDue ||= lingerMs === 0;
    });
  }

  async close(): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      if (this.#running.length === 0) this.#post();
      setTimeout(() => void this.#worker.terminate(), closeTimeoutMs).unref();
    }
    await this.#closed.promise;
  }

  #fallDue(): void {
    this.#lingerTimer = null;
    this.#isDue = true;
    this.#post();
  }

  #post(): void {
    if (this.#running.length > 0 || this.#state === "broken" || this.#state === "closed") return;
    if (this.#waiting.length === 0) {
      if (this.#state === "closing") this.#send({ kind: "close" });
      return;
    }
    if (!this.#isDue && this.#state === "open") return;
    this.#running = this.#waiting.splice(0, this.#nextGroupSize());
    // Who found no room in it has waited long enough.
    this.#isDue = this.#waiting.length > 0;
    if (!this.#isDue) this.#endLinger();
    this.#send({ kind: "group", requests: this.#running.map((waiting) => waiting.request) });
  }

  #endLinger(): void {
    if (this.#lingerTimer !== null) clearTimeout(this.#lingerTimer);
    this.#lingerTimer = null;
  }

  /** A batch of a thousand registrations is a group of its own: others wait for one at most, not for all that came before. */
  #nextGroupSize(): number {
    let weight = 0;
    const full = this.#waiting.findIndex(({ request }) => {
      const [first] = request.args;
      weight += Array.isArray(first) ? first.length : 1;
      return weight > groupLimit;
    });
    return full === -1 ? this.#waiting.length : Math.max(1, full);
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromWorker): void {
    switch (message.kind) {
      case "ready":
        this.#opened.resolve(message.migrations);
        return;
      case "refused":
        this.#state = "closed";
        this.#opened.reject(new StartupError(message.message));
        return;
      case "draft":
        this.#send({ kind: "drafted", drafted: message.results.map((result) => this.#draft(result)) });
        return;
      case "answers": {
        const running = this.#running;
        this.#running = [];
        // The next group is on its way before this one's owners go on.
        this.#post();
        if (message.commitMs !== null) this.#onCommitted(message.commitMs);
        for (const [index, waiting] of running.entries()) settle(waiting, message.answers[index]);
        return;
      }
      case "fatal":
        this.#break(new Error(message.message));
        return;
      case "closed":
        this.#state = "closed";
        this.#closed.resolve();
        return;
    }
  }

  #draft({ index, value }: ClaimedResult): DraftResult {
    try {
      return { kind: "draft", draft: this.#running[index]?.draftAnswer?.(value) ?? null };
    } catch (error) {
      return { kind: "failed", message: stackOf(error) };
    }
  }

  #break(error: Error): void {
    if (this.#state === "broken" || this.#state === "closed") return;
    this.#state = "broken";
    const unavailable = new StoreUnavailableError(`the database failed: ${error.message}`, { cause: error });
    for (const waiting of [...this.#running, ...this.#waiting]) waiting.reject(unavailable);
    this.#running = [];
    this.#waiting = [];
    this.#endLinger();
    this.#opened.reject(new StartupError(`the database cannot be used: ${error.message}`));
    this.#fatal.resolve(unavailable);
    void this.#worker.terminate();
  }
}

function settle(waiting: Waiting, answer: Answer | undefined): void {
  if (answer === undefined) waiting.reject(new Error("the database thread answered less than it was asked"));
  else if (answer.ok) waiting.resolve(answer.value);
  else if (answer.code === "cursor-invalid") waiting.reject(new CursorInvalidError());
  else if (answer.code === "store-unavailable") waiting.reject(new StoreUnavailableError(answer.message));
  else waiting.reject(answer.code === "bug" ? new Error(answer.message) : new RingbackError(answer.code, answer.message));
}
