import { stackOf } from "../../../domain/error-text.ts";
import { Worker } from "node:worker_threads";
import {
  CursorGoneError,
  CursorInvalidError,
  RingbackError,
  StartupError,
  StoreOverloadedError,
  StoreUnavailableError,
} from "../../../domain/errors.ts";
import type { Clock, Timer } from "../../../ports/clock.ts";
import type { AnswerDraft, ClaimedRun, IdempotencyClaim } from "../../../ports/stores/idempotency-store.ts";
import { systemClock } from "../../clock.ts";
import type { ConnectionRole } from "../connection/open-connection.ts";
import { packToWriter, unpackFromWriter } from "../messages/writer-messages.ts";
import type { PackedFromWriter } from "../messages/writer-messages.ts";
import type { OperationNumber } from "../operations.ts";
import type { Answer, ClaimedResult, ClaimedValue, DraftResult, Request } from "./group.ts";
import { smallCost, WaitingOperations } from "./waiting-operations.ts";
import type { FromWorker, Opened, ToWorker, WorkerOptions } from "./writer.ts";

export type GroupQueueOptions = Pick<WorkerOptions, "path" | "policy"> & {
  /** Replaces the machine's clock. */
  readonly clock?: Pick<Clock, "nowMs">;
  /** Receives the duration of the commit of each group that wrote. */
  readonly onCommitted?: (durationMs: number) => void;
  /**
   * Limit for the cost of all waiting requests. An account whose requests use more than the limit leaves free is rejected with
   * `StoreOverloadedError`; see `FairCapacity`.
   */
  readonly queueLimit?: number;
  /** Number of waiting operations from which a group is sent ahead. 24 unless given. */
  readonly aheadFrom?: number;
  /** Replaces the thread and the machine's timers. */
  readonly host?: WriterHost;
};

/** The thread that owns the connection, as its queue uses it. */
export type WriterThread = {
  postMessage(message: ToWorker): void;
  on(event: "message", listener: (message: FromWorker) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "exit", listener: () => void): unknown;
  terminate(): Promise<unknown>;
};

/** Threads and timers that a queue uses. */
export type WriterHost = {
  startThread(options: WorkerOptions): WriterThread;
  /** Calls `run` once after this turn of the event loop. */
  nextTurn(run: () => void): void;
  setTimer(delayMs: number, run: () => void): Timer;
};

const machine: WriterHost = {
  startThread: (workerData) => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData, execArgv: [] });
    return {
      postMessage: (message) => worker.postMessage(packToWriter(message)),
      on: (event: string, listener: (argument: never) => void) => {
        const receive = listener as (argument: unknown) => void;
        worker.on(event, event === "message" ? (packed: PackedFromWriter) => receive(unpackFromWriter(packed)) : receive);
      },
      terminate: () => worker.terminate(),
    };
  },
  nextTurn: (run) => void setImmediate(run),
  setTimer: (delayMs, run) => {
    const timer = setTimeout(run, delayMs).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/**
 * Two to three seconds of work: the writer registers 20,000 to 30,000 watches a second, and a client waits for 10 s. One
 * account alone has half, which is 32 batches of 1,000; seven accounts have 8 batches each.
 */
const defaultQueueLimit = 64_000;
const closeTimeoutMs = 10_000;
/** Number of waiting operations that start a group, although each has a linger time: they share the commit among enough. */
const fullGroup = 24;

type DraftAnswer = (result: unknown) => AnswerDraft | null;
type Waiting = {
  readonly request: Request;
  /** `null` unless the request is claimed. */
  readonly draftAnswer: DraftAnswer | null;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
};
/** A group that the worker has and has not answered. */
type SentGroup = { readonly operations: readonly Waiting[]; readonly cost: number };

/**
 * Group commit: collects the next group while the worker runs one. Answers arrive after the commit of their group. An
 * operation with a linger time waits that long for a group before it starts one, unless 24 operations wait.
 *
 * While a small group runs, one more is sent ahead once 24 operations wait, so that the worker starts it as soon as it has
 * committed the first. It takes all that waits, and only if that is small too. An operation that is requested after it
 * therefore waits for two small groups at most before its turn comes, and a batch of 1,000 is neither of them. The worker
 * runs groups in the order in which they were sent. A crash or a failed database thus leaves on disk the first one alone,
 * both or none, and operations that are not answered yet are rejected.
 *
 * Accounts take turns, weighted by cost, and an account's operations run in the order of the calls; see `operationFlows`.
 * Operations of different flows run in any order, also within a group. Nothing may rely on such an order, because on
 * Postgres they are concurrent: an operation that needs the effect of another is requested after the answer to it. The
 * exception is a step of the wall clock: `moveSchedule` runs after everything that was requested before it, which carries
 * times of before the step, and before everything that is requested later.
 */
export class GroupQueue {
  readonly opened: Promise<Opened>;
  readonly fatal: Promise<Error>;
  readonly #host: WriterHost;
  readonly #worker: WriterThread;
  readonly #onCommitted: (durationMs: number) => void;
  readonly #closed = Promise.withResolvers<void>();
  readonly #fatal = Promise.withResolvers<Error>();
  readonly #opened = Promise.withResolvers<Opened>();
  readonly #waiting: WaitingOperations<Waiting>;
  readonly #aheadFrom: number;
  /** The group that runs, and the one that was sent ahead. */
  #sent: readonly SentGroup[] = [];
  #state: "open" | "closing" | "closed" | "broken" = "open";
  /** Whether the next group starts as soon as none is running. If not, every waiting operation has a linger time. */
  #isDue = false;
  #lingerTimer: Timer | null = null;
  #closeTimer: Timer | null = null;
  /** Whether the connection may close. */
  #isReleased = false;

  constructor(options: GroupQueueOptions, role: ConnectionRole) {
    const workerData: WorkerOptions = { path: options.path, policy: options.policy, role, nowMs: (options.clock ?? systemClock).nowMs() };
    this.#waiting = new WaitingOperations(options.queueLimit ?? defaultQueueLimit);
    this.#aheadFrom = options.aheadFrom ?? fullGroup;
    this.#onCommitted = options.onCommitted ?? (() => undefined);
    this.opened = this.#opened.promise;
    this.fatal = this.#fatal.promise;
    this.#host = options.host ?? machine;
    this.#worker = this.#host.startThread(workerData);
    this.#worker.on("message", (message: FromWorker) => this.#receive(message));
    this.#worker.on("error", (error) => this.#break(error));
    this.#worker.on("exit", () => {
      if (this.#state !== "closed") this.#break(new Error("the database thread ended"));
      this.#closed.resolve();
    });
  }

  /** Runs one operation. It waits at most `lingerMs` for a group that another operation starts, and not once 24 operations wait. */
  run<Args extends readonly unknown[], Result>(
    operation: OperationNumber<Args, Result>,
    args: Args,
    { lingerMs = 0 }: { readonly lingerMs?: number } = {},
  ): Promise<Result> {
    return this.#push({ operation, args }, null, lingerMs) as Promise<Result>;
  }

  /** Runs one operation under a claim: see `ClaimedOperation`. */
  async runClaimed<Request, Result>(
    operation: OperationNumber<readonly [Request], Result>,
    request: Request,
    claim: IdempotencyClaim,
    draftAnswer: (result: Result) => AnswerDraft | null,
  ): Promise<ClaimedRun<Result>> {
    // The worker sends the result only with the request for its draft, so it is kept here.
    const results: Result[] = [];
    const keepResult = (result: unknown) => {
      results.push(result as Result);
      return draftAnswer(result as Result);
    };
    const value = (await this.#push({ operation, args: [request], claim }, keepResult, 0)) as ClaimedValue;
    return value.kind === "ran" ? { kind: "ran", result: results.at(-1) as Result } : value;
  }

  #push(request: Request, draftAnswer: DraftAnswer | null, lingerMs: number): Promise<unknown> {
    if (this.#state !== "open") return Promise.reject(new StoreUnavailableError("the store is closed"));
    return new Promise((resolve, reject) => {
      if (!this.#waiting.add({ request, draftAnswer, resolve, reject })) return reject(new StoreOverloadedError());
      const lingers = lingerMs > 0 && this.#waiting.size < fullGroup;
      if (lingers) this.#lingerTimer ??= this.#host.setTimer(lingerMs, () => this.#fallDue());
      const fallsDue = !lingers && !this.#isDue;
      this.#isDue ||= !lingers;
      // Operations of the same turn of the event loop join the group.
      if (fallsDue || (this.#isDue && this.#waiting.size === this.#aheadFrom)) this.#host.nextTurn(() => this.#post());
    });
  }

  /** Finishes accepted operations, and closes the connection once `readers` have closed theirs. May be called twice. */
  async close(readers: Promise<void> | null = null): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      this.#isReleased = readers === null;
      this.#post();
      void readers?.then(() => {
        this.#isReleased = true;
        this.#post();
      });
      this.#closeTimer = this.#host.setTimer(closeTimeoutMs, () => void this.#worker.terminate());
    }
    await this.#closed.promise;
    this.#closeTimer?.cancel();
  }

  #fallDue(): void {
    this.#lingerTimer = null;
    this.#isDue = true;
    this.#post();
  }

  #post(): void {
    if (this.#state === "broken" || this.#state === "closed") return;
    if (this.#waiting.size === 0) {
      if (this.#state === "closing" && this.#isReleased && this.#sent.length === 0) this.#send({ kind: "close" });
      return;
    }
    if ((!this.#isDue && this.#state === "open") || !this.#mayStart) return;
    const { cost } = this.#waiting;
    const operations = this.#waiting.takeGroup();
    this.#sent = [...this.#sent, { operations, cost: cost - this.#waiting.cost }];
    // An operation that did not fit into the group does not linger any longer.
    this.#isDue = this.#waiting.size > 0;
    if (!this.#isDue) this.#endLinger();
    this.#send({ kind: "group", requests: operations.map((waiting) => waiting.request) });
  }

  get #mayStart(): boolean {
    const [running, ahead] = this.#sent;
    if (running === undefined) return true;
    if (ahead !== undefined || this.#waiting.size < this.#aheadFrom) return false;
    return running.cost <= smallCost && this.#waiting.cost <= smallCost;
  }

  #endLinger(): void {
    this.#lingerTimer?.cancel();
    this.#lingerTimer = null;
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromWorker): void {
    switch (message.kind) {
      case "ready":
        this.#opened.resolve(message);
        return;
      case "refused":
        this.#state = "closed";
        this.#opened.reject(new StartupError(message.message));
        return;
      case "draft":
        this.#send({ kind: "drafted", drafted: message.results.map((result) => this.#draft(result)) });
        return;
      case "answers": {
        const [group, ...ahead] = this.#sent;
        this.#sent = ahead;
        const operations = group?.operations ?? [];
        for (const [index, waiting] of operations.entries()) this.#waiting.charge(waiting, message.answers[index]);
        // Starts the next group before the callers of the finished one continue.
        this.#post();
        if (message.commitMs !== null) this.#onCommitted(message.commitMs);
        for (const [index, waiting] of operations.entries()) settle(waiting, message.answers[index]);
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

  /** Drafts the answer of an operation of the group that runs. The one ahead starts after the answers to it. */
  #draft({ index, value }: ClaimedResult): DraftResult {
    try {
      return { kind: "draft", draft: this.#sent[0]?.operations[index]?.draftAnswer?.(value) ?? null };
    } catch (error) {
      return { kind: "failed", message: stackOf(error) };
    }
  }

  #break(error: Error): void {
    if (this.#state === "broken" || this.#state === "closed") return;
    this.#state = "broken";
    const unavailable = new StoreUnavailableError(`the database failed: ${error.message}`, { cause: error });
    const sent = this.#sent.flatMap(({ operations }) => operations);
    this.#sent = [];
    for (const waiting of [...sent, ...this.#waiting.drain()]) waiting.reject(unavailable);
    this.#endLinger();
    this.#opened.reject(new StartupError(`the database cannot be used: ${error.message}`));
    this.#fatal.resolve(unavailable);
    void this.#worker.terminate();
  }
}

/** Settles the promise of an operation with the answer of its thread. */
export function settle(waiting: Pick<Waiting, "resolve" | "reject">, answer: Answer | undefined): void {
  if (answer === undefined) waiting.reject(new Error("the database thread sent too few answers"));
  else if (answer.ok) waiting.resolve(answer.value);
  else if (answer.code === "cursor-invalid") waiting.reject(new CursorInvalidError());
  else if (answer.code === "cursor-gone") waiting.reject(new CursorGoneError());
  else if (answer.code === "store-unavailable") waiting.reject(new StoreUnavailableError(answer.message));
  else waiting.reject(answer.code === "bug" ? new Error(answer.message) : new RingbackError(answer.code, answer.message));
}
