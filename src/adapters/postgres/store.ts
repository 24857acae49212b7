import { setTimeout as sleep } from "node:timers/promises";
import { InstanceFencedError, StoreUnavailableError } from "../../domain/errors.ts";
import type { CallCommit, CallCommitResult } from "../../ports/stores/call-store.ts";
import type { AttemptRecord, AttemptRecorded } from "../../ports/stores/delivery-store.ts";
import type { ClaimedRun } from "../../ports/stores/idempotency-store.ts";
import type { RegisterWatchResult, WatchDraft } from "../../ports/stores/registration-store.ts";
import type { ServiceStore } from "../../ports/stores/service-store.ts";
import { BatchQueue } from "./connection/batch-queue.ts";
import { operationFlows } from "../sql/operation-flows.ts";
import type { OperationFlow } from "../sql/operation-flows.ts";
import { operationsUnderKey } from "./claimed-operations.ts";
import type { RunClaimed } from "./claimed-operations.ts";
import type { Database } from "./connection/database.ts";
import type { Transaction } from "./connection/transaction.ts";
import { bindOperations } from "./operations.ts";
import { commitCalls } from "./calls/commit-call.ts";
import { asPlainSuccess } from "../sql/plain-success.ts";
import type { PlainSuccess } from "../sql/plain-success.ts";
import { recordPlainSuccesses } from "./attempts/plain-successes.ts";
import { recordAttempts } from "./attempts/record-attempt.ts";
import { registerWatches } from "./registration/register-watches.ts";

/** Some seconds of work at 10,000 rows a second. One account alone has half, which is 32 batches of 1,000. */
const defaultQueueLimit = 64_000;
const batchLimit = 500;
/**
 * Maximum number of concurrent operations with an idempotency key. Operations of one account wait for each other, so they
 * must leave connections to the rest of the service.
 */
const claimedLimit = 4;
/** Maximum number of concurrent portions of transitions and marks: one account may have a thousand calls with marks. */
const portionLimit = 2;

/**
 * Creates the store of an instance on a migrated database. While the server cannot be reached, operations reject with
 * `StoreUnavailableError` within 10 s; `fatal` never resolves. `queueLimit` bounds the cost of the requests of each
 * batched kind that wait; an account whose requests exceed its part is rejected with `StoreOverloadedError`.
 */
export function createPostgresStore(db: Database, queueLimit = defaultQueueLimit): ServiceStore {
  const [forCommits, forAttempts, forSuccesses] = [db.of("*commits"), db.of("*attempts"), db.of("*successes")];
  const [forRegistrations, forClaimed] = [db.of("*registrations"), db.of("*claimed")];
  const commits = new BatchQueue<CallCommit, CallCommitResult>({
    run: (items, deadlineMs) => forCommits.ownerTransaction((tx, token) => commitCalls(tx, token, items), deadlineMs),
    flow: operationFlows.commitCall,
    keyOf: ({ callId }) => callId,
    batchLimit,
    queueLimit,
  });
  const attempts = new BatchQueue<AttemptRecord, AttemptRecorded>({
    run: (items, deadlineMs) => forAttempts.transaction((tx) => recordAttempts(tx, items), deadlineMs),
    flow: operationFlows.recordAttempt,
    batchLimit,
    queueLimit,
  });
  const { flowOf, costOf, isRefusable } = operationFlows.recordAttempt;
  const successes = new BatchQueue<PlainSuccess, AttemptRecorded | null>({
    run: (items, deadlineMs) => forSuccesses.transaction((tx) => recordPlainSuccesses(tx, items), deadlineMs),
    flow: { flowOf: ({ record }) => flowOf(record), costOf: ({ record }) => costOf(record), isRefusable },
    batchLimit,
    queueLimit,
  });
  const registrations = new BatchQueue<readonly WatchDraft[], readonly RegisterWatchResult[]>({
    run: (requests, deadlineMs) => registerAll(forRegistrations, requests, deadlineMs),
    flow: operationFlows.registerWatches,
    batchLimit: 1000,
    queueLimit,
  });
  const claimed = new BatchQueue<ClaimedWork, PromiseSettledResult<ClaimedRun<unknown>>>({
    run: (items, deadlineMs) => Promise.allSettled(items.map(({ work }) => withRegisteredInstance(forClaimed, deadlineMs, work))),
    flow: { flowOf: ({ accountId }) => accountId, costOf: ({ cost }) => cost, isRefusable: true },
    batchLimit: Infinity,
    batchSize: claimedLimit,
    queueLimit,
  });
  const operations = bindOperations(db);
  const portions = new BatchQueue<Portion, PromiseSettledResult<ChargedPortion>>({
    run: (items) => Promise.allSettled(items.map(({ run }) => run())),
    flow: {
      flowOf: ({ accountId }) => accountId,
      costOf: ({ cost }) => cost,
      isRefusable: false,
      chargeWritten: (result, charge) => (result.status === "fulfilled" ? result.value.chargeWritten(charge) : undefined),
    },
    batchLimit: Infinity,
    batchSize: portionLimit,
    queueLimit,
  });
  /** Runs a portion in the turn of its account. */
  const queued = async <Request extends { readonly accountId: string }, Result>(
    { costOf, chargeWritten }: OperationFlow<[Request], Result>,
    request: Request,
    operation: (request: Request) => Promise<Result>,
  ): Promise<Result> => {
    const { promise, resolve } = Promise.withResolvers<Result>();
    const run = async (): Promise<ChargedPortion> => {
      const result = await operation(request);
      resolve(result);
      return { chargeWritten: (charge) => chargeWritten?.(result, charge) };
    };
    valueOf(await portions.push({ accountId: request.accountId, cost: costOf(request), run }));
    return promise;
  };
  let closing: Promise<void> | null = null;
  return {
    ...operations,
    commitCall: (commit) => staleIfFenced(commits.push(commit)),
    commitPortion: (request) => staleIfFenced(queued(operationFlows.commitPortion, request, operations.commitPortion)),
    sweepMark: (request) => queued(operationFlows.sweepMark, request, operations.sweepMark),
    recordAttempt: async (record) => {
      const success = asPlainSuccess(db.policy, record);
      return (success === null ? null : await successes.push(success)) ?? attempts.push(record);
    },
    registerWatches: (drafts) => registrations.push(drafts),
    underKey: (claim) => operationsUnderKey(claim, runClaimedIn(claimed, claim.accountId)),
    fatal: Promise.withResolvers<Error>().promise,
    close: () =>
      (closing ??= (async () => {
        await Promise.all([commits.close(), portions.close(), successes.close(), registrations.close(), claimed.close()]);
        // Successes that need locks went on to this queue.
        await attempts.close();
        await db.close();
      })()),
  };
}

/** Resolves as stale if this instance was evicted, because another instance then owns its calls. */
async function staleIfFenced(committing: Promise<CallCommitResult>): Promise<CallCommitResult> {
  try {
    return await committing;
  } catch (error) {
    if (!(error instanceof InstanceFencedError)) throw error;
    return { kind: "stale", call: null };
  }
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

/** A portion of a transition or of a mark. */
type Portion = { readonly accountId: string; readonly cost: number; readonly run: () => Promise<ChargedPortion> };
/** A portion that was committed. */
type ChargedPortion = { readonly chargeWritten: (charge: (flow: string, cost: number) => void) => void };

type ClaimedWork = {
  readonly accountId: string;
  readonly cost: number;
  readonly work: (tx: Transaction, token: number) => Promise<ClaimedRun<unknown>>;
};

function runClaimedIn(queue: BatchQueue<ClaimedWork, PromiseSettledResult<ClaimedRun<unknown>>>, accountId: string): RunClaimed {
  return async <Result>(cost: number, work: (tx: Transaction, token: number) => Promise<ClaimedRun<Result>>) => {
    const settled = await queue.push({ accountId, cost, work });
    return valueOf(settled) as ClaimedRun<Result>;
  };
}

function valueOf<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === "rejected") throw settled.reason;
  return settled.value;
}

/** Runs a transaction that any registered instance may commit. If this instance was evicted, it joins again and repeats the transaction. */
async function withRegisteredInstance<T>(
  db: Database,
  deadlineMs: number,
  work: (tx: Transaction, token: number) => Promise<T>,
): Promise<T> {
  try {
    return await db.ownerTransaction(work, deadlineMs);
  } catch (error) {
    if (!(error instanceof InstanceFencedError)) throw error;
    await rejoin(db, deadlineMs);
    return db.ownerTransaction(work, deadlineMs);
  }
}

async function rejoin(db: Database, deadlineMs: number): Promise<void> {
  const timer = new AbortController();
  const expiry = sleep(Math.max(1, deadlineMs - performance.now()), null, { signal: timer.signal }).then(() => {
    throw new StoreUnavailableError("joining again after an eviction took too long");
  });
  await Promise.race([db.rejoin(), expiry]).finally(() => timer.abort());
}
