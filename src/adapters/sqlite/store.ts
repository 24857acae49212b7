import { statSync } from "node:fs";
import { KeyBlock, KeySequence, useKeys } from "../../domain/ids.ts";
import type { DeliveryPolicy } from "../../domain/deliveries/retry-policy.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ClaimedOperations, IdempotencyClaim } from "../../ports/stores/idempotency-store.ts";
import type { AdministrationStore, ServiceStore } from "../../ports/stores/service-store.ts";
import { bindOperations, isReadersRead, operationNumbers } from "./operations.ts";
import { ReadQueue } from "./reader-thread/read-queue.ts";
import { Checkpointer } from "./writer-thread/checkpointer.ts";
import { GroupQueue } from "./writer-thread/group-queue.ts";
import type { WriterHost } from "./writer-thread/group-queue.ts";
import type { Opened } from "./writer-thread/writer.ts";

export type SqliteStoreOptions = {
  /** Path of a file, or `:memory:`. */
  readonly path: string;
  readonly policy: DeliveryPolicy;
  /** Replaces the machine's clock. */
  readonly clock?: Pick<Clock, "nowMs">;
  /** Receives the duration of the commit of each group that wrote. */
  readonly onCommitted?: (durationMs: number) => void;
  /** Limit for the cost of all waiting requests. An account whose requests exceed its part is rejected with `StoreOverloadedError`. */
  readonly queueLimit?: number;
  /**
   * Maximum wait of an attempt's record for a commit that another operation starts. Only the next webhook of its lane waits
   * for the record, whereas a commit of its own would delay a transition.
   */
  readonly recordLingerMs?: number;
  /** Number of waiting operations from which a group is sent ahead; see `GroupQueue`. */
  readonly aheadFrom?: number;
  /**
   * Replaces the threads and the machine's timers. All reads run in the writer, so that one host decides the order of all
   * operations, and SQLite makes the checkpoints itself.
   */
  readonly host?: WriterHost;
  /** Called when the write-ahead log is longer than 256 MiB, once until it is shorter. */
  readonly onLongLog?: (bytes: number) => void;
};

/** Slot of the ids that the main thread of a server makes. */
const mainThreadSlot = 1;

/**
 * Opens the embedded store. A worker thread owns the connection that writes, so that a slow disk never stalls the event loop.
 * With a file, a second one runs the lists and pages, so that none of them delays a commit, and a third one makes the
 * checkpoints. A database in memory has one connection, because a second one would see another database; its reads run in
 * the writer. Rejects with `StartupError` (one line) for a database that cannot be used.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<ServiceStore> {
  let checkpointer: Checkpointer | null = null;
  const onCommitted = (durationMs: number) => {
    checkpointer?.onCommit();
    options.onCommitted?.(durationMs);
  };
  const hasThreads = options.path !== ":memory:" && options.host === undefined;
  const queue = new GroupQueue({ ...options, onCommitted }, "server");
  const reader = hasThreads ? new ReadQueue({ path: options.path }) : null;
  const { newestKey } = await openConnections(queue, reader);
  useKeys(new KeySequence(mainThreadSlot, newestKey));
  if (reader !== null) checkpointer = new Checkpointer(options.path, reader, { onLongLog: (bytes) => options.onLongLog?.(bytes) });
  const functions = bindOperations((operation, args) =>
    reader !== null && isReadersRead(operation) ? reader.run(operation, args) : queue.run(operation, args),
  );
  const lingerMs = options.recordLingerMs ?? 0;
  return {
    ...functions,
    recordAttempt: (record) => queue.run(operationNumbers.recordAttempt, [record], { lingerMs }),
    underKey: (claim) => operationsUnderKey(queue, claim),
    readStats: async () => ({ ...(await functions.readStats()), storeBytes: storeBytes(options.path) }),
    fatal: Promise.race([queue, reader, checkpointer].flatMap((thread) => (thread === null ? [] : [thread.fatal]))),
    // The reader closes before the lock of the server is free, so that no migration or restore finds it open. The connection
    // that closes last copies the rest of the log.
    close: async () => {
      const readerClosed = reader === null ? null : reader.close();
      await queue.close(readerClosed);
      await readerClosed;
      await checkpointer?.close();
    },
  };
}

/** Opens the connection of the writer, then that of the reader: the first one migrates the database. Closes both if one is refused. */
async function openConnections(queue: GroupQueue, reader: ReadQueue | null): Promise<Opened> {
  try {
    const opened = await queue.opened;
    await reader?.open();
    return opened;
  } catch (error) {
    if (reader !== null) await Promise.all([queue.close(), reader.close()]);
    throw error;
  }
}

function operationsUnderKey(queue: GroupQueue, claim: IdempotencyClaim): ClaimedOperations {
  return {
    registerWatches: (drafts, draftAnswer) => queue.runClaimed(operationNumbers.registerWatches, drafts, claim, draftAnswer),
    registerHook: (draft, draftAnswer) => queue.runClaimed(operationNumbers.registerHook, draft, claim, draftAnswer),
    rotateSecret: (rotation, draftAnswer) => queue.runClaimed(operationNumbers.rotateSecret, rotation, claim, draftAnswer),
    recover: (request, draftAnswer) => queue.runClaimed(operationNumbers.recover, request, claim, draftAnswer),
    claimManualRetry: (request, draftAnswer) => queue.runClaimed(operationNumbers.claimManualRetry, request, claim, draftAnswer),
    freePlacing: (request, draftAnswer) => queue.runClaimed(operationNumbers.freePlacing, request, claim, draftAnswer),
    keepAnswer: (request, draftAnswer) => queue.runClaimed(operationNumbers.keepAnswer, request, claim, draftAnswer),
    createTest: (request, draftAnswer) => queue.runClaimed(operationNumbers.createTest, request, claim, draftAnswer),
    createPortalLink: (draft, draftAnswer) => queue.runClaimed(operationNumbers.createPortalLink, draft, claim, draftAnswer),
    createKey: (draft, draftAnswer) => queue.runClaimed(operationNumbers.createKey, draft, claim, draftAnswer),
    setDefaultSecret: (request, draftAnswer) => queue.runClaimed(operationNumbers.setDefaultSecret, request, claim, draftAnswer),
  };
}

/**
 * Opens the same database for administration, also while a server runs on it, and creates it if there is none. `migrations`
 * is the number of applied migrations. Rejects as `openSqliteStore` does.
 */
export async function openSqliteAdministration(
  path: string,
): Promise<{ readonly store: AdministrationStore; readonly migrations: number }> {
  const queue = new GroupQueue({ path, policy: null }, "beside");
  const { migrations, newestKey } = await queue.opened;
  // The other half is that of the writer.
  useKeys(KeyBlock.halves(newestKey + 1)[0]);
  const functions = bindOperations((operation, args) => queue.run(operation, args));
  return { store: { ...functions, close: () => queue.close() }, migrations };
}

function storeBytes(path: string): number {
  if (path === ":memory:") return 0;
  return ["", "-wal"].reduce((sum, suffix) => sum + (statSync(path + suffix, { throwIfNoEntry: false })?.size ?? 0), 0);
}
