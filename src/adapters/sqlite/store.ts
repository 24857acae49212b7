import { statSync } from "node:fs";
import type { DeliveryPolicy } from "../../domain/deliveries/retry-policy.ts";
import type { AttemptRecorded } from "../../ports/stores/delivery-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ClaimedOperation, ClaimedOperations, IdempotencyClaim } from "../../ports/stores/idempotency-store.ts";
import type { AdministrationStore, ServiceStore } from "../../ports/stores/service-store.ts";
import { Checkpointer } from "./writer-thread/checkpointer.ts";
import type { ClaimedValue } from "./writer-thread/group.ts";
import { GroupQueue } from "./writer-thread/group-queue.ts";
import { operations } from "./operations.ts";
import type { OperationName } from "./operations.ts";

export type SqliteStoreOptions = {
  /** A file, or `:memory:`. */
  readonly path: string;
  readonly policy: DeliveryPolicy;
  /** In place of the machine's. */
  readonly clock?: Pick<Clock, "nowMs">;
  /** How long the commit of each group that wrote took. */
  readonly onCommitted?: (durationMs: number) => void;
  /** Operations waiting at most; beyond it they are refused with `StoreOverloadedError`. */
  readonly queueLimit?: number;
  /**
   * How long the record of an attempt waits at most for somebody else's commit to share, when none is under way: nobody
   * but the next webhook of its lane waits for it, and a commit of its own would keep a transition waiting.
   */
  readonly recordLingerMs?: number;
};

/**
 * Opens the embedded store: a worker thread owns the connection that everything goes through, so that a slow disk never
 * stalls the loop; another one makes the checkpoints. Rejects with `StartupError` (one line) for a database that cannot be
 * used.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<ServiceStore> {
  let checkpointer: Checkpointer | null = null;
  const onCommitted = (durationMs: number) => {
    checkpointer?.onCommit();
    options.onCommitted?.(durationMs);
  };
  const queue = new GroupQueue({ ...options, onCommitted }, "server");
  await queue.opened;
  if (options.path !== ":memory:") checkpointer = new Checkpointer(options.path);
  const methods = methodsOf(queue);
  const lingerMs = options.recordLingerMs ?? 0;
  return {
    ...methods,
    recordAttempt: (record) => queue.run({ name: "recordAttempt", args: [record] }, { lingerMs }) as Promise<AttemptRecorded>,
    underKey: (claim) => operationsUnderKey(queue, claim),
    checkWritable: () => queue.run({ name: "checkWritable", args: [] }) as Promise<void>,
    readStats: async () => ({ ...(await methods.readStats()), storeBytes: storeBytes(options.path) }),
    fatal: checkpointer === null ? queue.fatal : Promise.race([queue.fatal, checkpointer.fatal]),
    // The connection that closes last copies what is left.
    close: async () => {
      await queue.close();
      await checkpointer?.close();
    },
  };
}

/** Returns the claimable operations under one claim. The result of each is the one its draft was made of, so that it crosses to this thread once. */
function operationsUnderKey(queue: GroupQueue, claim: IdempotencyClaim): ClaimedOperations {
  const claimed =
    <Request, Result>(name: OperationName): ClaimedOperation<Request, Result> =>
    async (request, draftAnswer) => {
      const results: Result[] = [];
      const keepResult = (result: unknown) => {
        results.push(result as Result);
        return draftAnswer(result as Result);
      };
      const value = (await queue.run({ name, args: [request], claim }, { draftAnswer: keepResult })) as ClaimedValue;
      return value.kind === "ran" ? { kind: "ran", result: results.at(-1) as Result } : value;
    };
  return {
    registerWatches: claimed("registerWatches"),
    registerHook: claimed("registerHook"),
    rotateSecret: claimed("rotateSecret"),
    recover: claimed("recover"),
    claimManualRetry: claimed("claimManualRetry"),
    createTest: claimed("createTest"),
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

function methodsOf(queue: GroupQueue): Pick<ServiceStore, Exclude<OperationName, "checkWritable">> {
  return Object.fromEntries(
    (Object.keys(operations) as OperationName[]).map((name) => [name, (...args: readonly unknown[]) => queue.run({ name, args })]),
  ) as unknown as Pick<ServiceStore, Exclude<OperationName, "checkWritable">>;
}

function storeBytes(path: string): number {
  if (path === ":memory:") return 0;
  return ["", "-wal"].reduce((sum, suffix) => sum + (statSync(path + suffix, { throwIfNoEntry: false })?.size ?? 0), 0);
}
