import { statSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { CursorInvalid, RingbackError, StartRefused, StoreOverloaded, StoreUnavailable } from "../../domain/errors.ts";
import type { DeliveryPolicy } from "../../domain/retry-policy.ts";
import type { Clock } from "../../ports/clock.ts";
import type { AnswerDraft, ClaimedRun, IdempotencyStore } from "../../ports/idempotency-store.ts";
import type { AdministrationStore, ServiceStore } from "../../ports/service-store.ts";
import { systemClock } from "../clock.ts";
import type { Answer, ClaimedResult, ClaimedValue, Drafted, Request } from "./group.ts";
import type { ConnectionRole } from "./open-connection.ts";
import { operations } from "./operations.ts";
import type { OperationName } from "./operations.ts";
import type { FromWorker, ToWorker, WorkerOptions } from "./worker.ts";

export type SqliteStoreOptions = {
  /** A file, or `:memory:`. */
  readonly path: string;
  readonly policy: DeliveryPolicy;
  /** In place of the machine's. */
  readonly clock?: Pick<Clock, "nowMs">;
  /** How long the commit of each group that wrote took. */
  readonly onCommitted?: (durationMs: number) => void;
  /** Operations waiting at most; beyond it they are refused with `StoreOverloaded`. */
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
 * Opens the embedded store: a worker thread owns the only connection, so that a slow disk never stalls the loop. Rejects
 * with `StartRefused` (one line) for a database that cannot be used.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<ServiceStore> {
  const queue = new GroupQueue(options, "server");
  await queue.opened;
  const methods = methodsOf(queue);
  return {
    ...methods,
    runClaimed: runClaimedOn(queue),
    checkWritable: () => queue.run({ name: "probeWrite", args: [] }) as Promise<void>,
    readFigures: async () => ({ ...(await methods.readFigures()), storeBytes: storeBytes(options.path) }),
    fatal: queue.fatal,
    close: () => queue.close(),
  };
}

/** The result is the one the draft was made of, so that it crosses to this thread once. */
function runClaimedOn(queue: GroupQueue): IdempotencyStore["runClaimed"] {
  return async <Result>(
    claim: NonNullable<Request["claim"]>,
    name: OperationName,
    request: unknown,
    draftAnswer: (result: Result) => AnswerDraft | null,
  ): Promise<ClaimedRun<Result>> => {
    let drafted: { readonly result: Result } | null = null;
    const value = (await queue.run({ name, args: [request], claim }, (result) => {
      drafted = { result: result as Result };
      return draftAnswer(result as Result);
    })) as ClaimedValue;
    if (value.kind !== "ran") return value;
    if (drafted === null) throw new Error("what ran was drafted");
    return { kind: "ran", ...(drafted as { readonly result: Result }) };
  };
}

/**
 * Opens the same database for administration, also while a server runs on it; makes it where there is none.
 * `migrations`: how many it took to bring the schema up to date. Rejects as `openSqliteStore` does.
 */
export async function openSqliteAdministration(
  path: string,
): Promise<{ readonly store: AdministrationStore; readonly migrations: number }> {
  const queue = new GroupQueue({ path, policy: null }, "beside");
  const migrations = await queue.opened;
  return { store: { ...methodsOf(queue), close: () => queue.close() }, migrations };
}

function methodsOf(queue: GroupQueue): Pick<ServiceStore, Exclude<OperationName, "probeWrite">> {
  return Object.fromEntries(
    (Object.keys(operations) as OperationName[]).map((name) => [name, (...args: readonly unknown[]) => queue.run({ name, args })]),
  ) as unknown as Pick<ServiceStore, Exclude<OperationName, "probeWrite">>;
}

/**
 * Group commit: while the worker is busy with one group the next one gathers; its answers arrive after its commit. The
 * order of calls is the order of execution.
 */
class GroupQueue {
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

  constructor(options: Omit<SqliteStoreOptions, "policy"> & { readonly policy: DeliveryPolicy | null }, role: ConnectionRole) {
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

  run(request: Request, draftAnswer: DraftAnswer | null = null): Promise<unknown> {
    if (this.#state !== "open") return Promise.reject(new StoreUnavailable("the store is closed"));
    if (this.#waiting.length >= this.#queueLimit) return Promise.reject(new StoreOverloaded());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, draftAnswer, resolve, reject });
      // The rest of this turn of the loop joins the group.
      if (this.#running.length === 0 && this.#waiting.length === 1) setImmediate(() => this.#post());
    });
  }

  async close(): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      if (this.#running.length === 0 && this.#waiting.length === 0) this.#send({ kind: "close" });
      setTimeout(() => void this.#worker.terminate(), closeTimeoutMs).unref();
    }
    await this.#closed.promise;
  }

  #post(): void {
    if (this.#running.length > 0 || this.#state === "broken" || this.#state === "closed") return;
    if (this.#waiting.length === 0) {
      if (this.#state === "closing") this.#send({ kind: "close" });
      return;
    }
    this.#running = this.#waiting.splice(0, this.#nextGroupSize());
    this.#send({ kind: "group", requests: this.#running.map((waiting) => waiting.request) });
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
        this.#opened.reject(new StartRefused(message.message));
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

  #draft({ index, value }: ClaimedResult): Drafted {
    try {
      return { kind: "draft", draft: this.#running[index]?.draftAnswer?.(value) ?? null };
    } catch (error) {
      return { kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
  }

  #break(error: Error): void {
    if (this.#state === "broken" || this.#state === "closed") return;
    this.#state = "broken";
    const unavailable = new StoreUnavailable(`the database failed: ${error.message}`, { cause: error });
    for (const waiting of [...this.#running, ...this.#waiting]) waiting.reject(unavailable);
    this.#running = [];
    this.#waiting = [];
    this.#opened.reject(new StartRefused(`the database cannot be used: ${error.message}`));
    this.#fatal.resolve(unavailable);
    void this.#worker.terminate();
  }
}

function settle(waiting: Waiting, answer: Answer | undefined): void {
  if (answer === undefined) waiting.reject(new Error("the database thread answered less than it was asked"));
  else if (answer.ok) waiting.resolve(answer.value);
  else if (answer.code === "cursor-invalid") waiting.reject(new CursorInvalid());
  else if (answer.code === "store-unavailable") waiting.reject(new StoreUnavailable(answer.message));
  else waiting.reject(answer.code === "bug" ? new Error(answer.message) : new RingbackError(answer.code, answer.message));
}

function storeBytes(path: string): number {
  if (path === ":memory:") return 0;
  return ["", "-wal"].reduce((sum, suffix) => sum + (statSync(path + suffix, { throwIfNoEntry: false })?.size ?? 0), 0);
}
