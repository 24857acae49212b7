import { InstanceFencedError, StoreUnavailableError } from "../../domain/errors.ts";
import type { CallCommit, CallCommitResult } from "../../ports/stores/call-store.ts";
import type { AttemptRecord, AttemptRecorded } from "../../ports/stores/delivery-store.ts";
import type { ClaimableResult, ClaimedRun, IdempotencyStore } from "../../ports/stores/idempotency-store.ts";
import type { RegisterWatchResult, WatchDraft } from "../../ports/stores/registration-store.ts";
import type { ServiceStore } from "../../ports/stores/service-store.ts";
import { BatchQueue } from "./connection/batch-queue.ts";
import { runClaimedOperation } from "./claimed-operations.ts";
import type { Claimed } from "./claimed-operations.ts";
import type { Database, Transaction } from "./connection/database.ts";
import { bindOperations } from "./operations.ts";
import { commitCalls } from "./calls/commit-call.ts";
import { recordAttempts } from "./attempts/record-attempt.ts";
import { registerWatches } from "./registration/register-watches.ts";

const defaultQueueLimit = 10_000;
const batchLimit = 500;
/** Under keys, at a time: those of one account wait for each other, and must leave connections to the rest of the service. */
const claimedLimit = 4;

/**
 * The store of an instance, on a database that is migrated. `fatal` never resolves: a server that goes away is waited for,
 * and everything asked meanwhile rejects with `StoreUnavailableError` within 10 s. `queueLimit`: operations of a hot kind waiting
 * at most; beyond it they are refused with `StoreOverloadedError`.
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
  const claimed = new BatchQueue<Claimed, PromiseSettledResult<ClaimedRun<unknown>>>({
    run: (items, deadlineMs) => Promise.allSettled(items.map((item) => runClaimed(db, item, deadlineMs))),
    batchLimit: claimedLimit,
    queueLimit,
  });
  let closing: Promise<void> | null = null;
  return {
    ...bindOperations(db),
    commitCall: async (commit) => {
      try {
        return await commits.push(commit);
      } catch (error) {
        if (!(error instanceof InstanceFencedError)) throw error;
        // Whoever took this instance for dead has its calls.
        return { kind: "stale", call: null };
      }
    },
    recordAttempt: (record) => attempts.push(record),
    registerWatches: (drafts) => registrations.push(drafts),
    runClaimed: runClaimedIn(claimed),
    fatal: Promise.withResolvers<Error>().promise,
    close: () =>
      (closing ??= (async () => {
        await Promise.all([commits.close(), attempts.close(), registrations.close(), claimed.close()]);
        await db.close();
      })()),
  };
}

async function registerAll(
  db: Database,
  requests: readonly (readonly WatchDraft[])[],
  deadlineMs: number,
): Promise<readonly (readonly RegisterWatchResult[])[]> {
  const drafts = requests.flat();
  const results = await withRegisteredInstance(db, deadlineMs, (tx, token) => registerWatches(tx, token, drafts));
  let from = 0;
  return requests.map(({ length }) => results.slice(from, (from += length)));
}

function runClaimedIn(queue: BatchQueue<Claimed, PromiseSettledResult<ClaimedRun<unknown>>>): IdempotencyStore["runClaimed"] {
  return async (claim, name, request, draftAnswer) => {
    const settled = await queue.push({ claim, name, request, draftAnswer } as unknown as Claimed);
    if (settled.status === "rejected") throw settled.reason;
    return settled.value as ClaimedRun<ClaimableResult<typeof name>>;
  };
}

function runClaimed(db: Database, claimed: Claimed, deadlineMs: number): Promise<ClaimedRun<unknown>> {
  return withRegisteredInstance(db, deadlineMs, (tx, token) => runClaimedOperation(tx, token, claimed));
}

/** For what needs no more than some instance to own what comes of it: evicted, this one joins anew and goes on. */
async function withRegisteredInstance<T>(
  db: Database,
  deadlineMs: number,
  work: (tx: Transaction, token: number) => Promise<T>,
): Promise<T> {
  try {
    return await db.ownerTransaction(work, deadlineMs);
  } catch (error) {
    if (!(error instanceof InstanceFencedError)) throw error;
    await within(db.rejoin(), deadlineMs);
    return db.ownerTransaction(work, deadlineMs);
  }
}

async function within(promise: Promise<void>, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new StoreUnavailableError("joining again takes too long")),
      Math.max(1, deadlineMs - performance.now()),
    );
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
