import { operationNumbers } from "../../../src/adapters/sqlite/operations.ts";
import { GroupQueue } from "../../../src/adapters/sqlite/writer-thread/group-queue.ts";
import type { GroupQueueOptions, WriterHost, WriterThread } from "../../../src/adapters/sqlite/writer-thread/group-queue.ts";
import type { Request } from "../../../src/adapters/sqlite/writer-thread/group.ts";
import type { FromWorker, ToWorker } from "../../../src/adapters/sqlite/writer-thread/writer.ts";
import type { CallCommit } from "../../../src/ports/stores/call-store.ts";
import type { AttemptRecord } from "../../../src/ports/stores/delivery-store.ts";
import type { WatchDraft } from "../../../src/ports/stores/registration-store.ts";
import { startMs, testPolicy } from "../../harness/store-drafts.ts";

export const operationNames = Object.keys(operationNumbers);

/** Receives the groups of a queue, and answers each when the test asks for it. No thread runs, and no time passes. */
export class ScriptedWriter implements WriterHost {
  readonly queue: GroupQueue;
  /** Operations of each group, in order: name of the operation and of the account. */
  readonly groups: (readonly string[])[] = [];
  /** Requests of the groups that were sent and not answered. */
  readonly sent: (readonly Request[])[] = [];
  /** Messages other than groups, in order. */
  readonly others: ToWorker[] = [];
  #turns: (() => void)[] = [];
  #toQueue: (message: FromWorker) => void = () => undefined;

  constructor(options: Pick<GroupQueueOptions, "queueLimit" | "aheadFrom"> = {}) {
    this.queue = new GroupQueue({ path: ":memory:", policy: testPolicy, host: this, ...options }, "server");
    // It rejects where a test fails the database.
    this.queue.opened.catch(() => undefined);
  }

  startThread(): WriterThread {
    const on = (event: string, listener: (argument: never) => void) => {
      if (event === "message") this.#toQueue = listener as (message: FromWorker) => void;
    };
    return { postMessage: (message: ToWorker) => this.#receive(message), on, terminate: () => Promise.resolve() } as WriterThread;
  }

  nextTurn(run: () => void): void {
    this.#turns.push(run);
  }

  setTimer() {
    return { cancel: () => undefined };
  }

  /** Ends the turn of the event loop, so that the next group starts unless one is running. */
  endTurn(): void {
    for (const run of this.#turns.splice(0)) run();
  }

  /** Commits the running group, which starts the next one. `valueOf` gives the result of each operation. */
  commit(valueOf: (request: Request) => unknown = () => ({ kind: "stale" })): void {
    const answers = (this.sent.shift() ?? []).map((request) => ({ ok: true as const, value: valueOf(request) }));
    this.#toQueue({ kind: "answers", answers, commitMs: 1 });
  }

  /** Sends a message of the worker other than the answers of a commit. */
  reply(message: FromWorker): void {
    if (message.kind === "answers" || message.kind === "fatal") this.sent.shift();
    this.#toQueue(message);
  }

  #receive(message: ToWorker): void {
    if (message.kind !== "group") this.others.push(message);
    if (message.kind === "close") this.#toQueue({ kind: "closed" });
    if (message.kind !== "group") return;
    this.sent.push(message.requests);
    this.groups.push(message.requests.map(describeRequest));
  }
}

function describeRequest({ operation, args }: Request): string {
  const [first] = args;
  const named = (Array.isArray(first) ? first[0] : first) as { readonly accountId?: string } | string | undefined;
  const accountId = typeof named === "object" ? named.accountId : null;
  return `${operationNames[operation]}${typeof accountId === "string" ? ` of ${accountId}` : ""}`;
}

export const drafts = (accountId: string, count: number, metadata: Readonly<Record<string, string>> = {}) =>
  Array.from({ length: count }, () => ({ accountId, metadata, endpoint: null }) as unknown as WatchDraft);
export const register = ({ queue }: ScriptedWriter, accountId: string, count: number) =>
  queue.run(operationNumbers.registerWatches, [drafts(accountId, count)]);
export const commitCall = ({ queue }: ScriptedWriter, accountId: string) =>
  queue.run(operationNumbers.commitCall, [{ accountId, changes: [] } as unknown as CallCommit]);
export const record = ({ queue }: ScriptedWriter, accountId: string) =>
  queue.run(operationNumbers.recordAttempt, [{ accountId } as unknown as AttemptRecord], { lingerMs: 5 });
export const claim = ({ queue }: ScriptedWriter) =>
  queue.run(operationNumbers.claimDue, [
    { nowMs: startMs, limit: 64, failingLimit: 1, defaultCapacity: 1, capacityByEndpoint: [], capacityByHost: [] },
  ]);
export const times = <Result>(count: number, run: (n: number) => Result): Result[] => Array.from({ length: count }, (_, n) => run(n));
