import { InstanceFenced, StoreUnavailable } from "../../domain/errors.ts";
import type { CallCommit, CallCommitResult } from "../../ports/call-store.ts";
import type { AttemptRecord, AttemptRecorded } from "../../ports/delivery-store.ts";
import type { RegisterWatchResult, WatchDraft } from "../../ports/registration-store.ts";
import type { ServiceStore } from "../../ports/service-store.ts";
import { BatchQueue } from "./batch-queue.ts";
import type { Database } from "./database.ts";
import { bindOperations } from "./operations.ts";
import { commitCalls } from "./operations/commit-call.ts";
import { recordAttempts } from "./operations/record-attempt.ts";
import { registerWatches } from "./operations/register-watches.ts";

const defaultQueueLimit = 10_000;
const batchLimit = 500;

/**
 * The store of an instance, on a database that is migrated. `fatal` never resolves: a server that goes away is waited for,
 * and everything asked meanwhile rejects with `StoreUnavailable` within 10 s. `queueLimit`: operations of a hot kind waiting
 * at most; beyond it they are refused with `StoreOverloaded`.
 */
export function createPostgresStore(db: Database, queueLimit = defaultQueueLimit): ServiceStore {
  const commits = new BatchQueue<CallCommit, CallCommitResult>({
    run: (items, deadlineMs) => db.ownerTransaction((tx, token) => commitCalls(tx, token, items), deadlineMs),
    keyOf: ({ callId }) => callId,
    batchLimit,
    queueLimit,
  });
  const attempts = new BatchQueue<AttemptRecord, AttemptRecorded>({
    run: (items, deadlineMs) => db.transaction((tx) => recordAttempts(tx, items), deadlineMs),
    batchLimit,
    queueLimit,
  });
  const registrations = new BatchQueue<readonly WatchDraft[], readonly RegisterWatchResult[]>({
    run: (requests, deadlineMs) => registerAll(db, requests, deadlineMs),
    weightOf: (drafts) => drafts.length,
    batchLimit: 1000,
    queueLimit,
  });
  let closing: Promise<void> | null = null;
  return {
    ...bindOperations(db),
    commitCall: async (commit) => {
      try {
        return await commits.push(commit);
      } catch (error) {
        if (!(error instanceof InstanceFenced)) throw error;
        // Whoever took this instance for dead has its calls.
        return { kind: "stale", call: null };
      }
    },
    recordAttempt: (record) => attempts.push(record),
    registerWatches: (drafts) => registrations.push(drafts),
    fatal: Promise.withResolvers<Error>().promise,
    close: () =>
      (closing ??= (async () => {
        await Promise.all([commits.close(), attempts.close(), registrations.close()]);
        await db.close();
      })()),
  };
}

/** A registration needs no more than some instance to own its call: evicted, this one joins anew and goes on. */
async function registerAll(
  db: Database,
  requests: readonly (readonly WatchDraft[])[],
  deadlineMs: number,
): Promise<readonly (readonly RegisterWatchResult[])[]> {
  const drafts = requests.flat();
  const register = () => db.ownerTransaction((tx, token) => registerWatches(tx, token, drafts), deadlineMs);
  const results = await register().catch(async (error: unknown) => {
    if (!(error instanceof InstanceFenced)) throw error;
    await within(db.rejoin(), deadlineMs);
    return register();
  });
  let from = 0;
  return requests.map(({ length }) => results.slice(from, (from += length)));
}

async function within(promise: Promise<void>, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new StoreUnavailable("joining again takes too long")), Math.max(1, deadlineMs - performance.now()));
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
