import type { ServiceStore } from "../../ports/stores/service-store.ts";
import { moveSchedule } from "../sql/deliveries/schedule.ts";
import * as markRows from "../sql/marks/mark-rows.ts";
import * as shared from "../sql/operations.ts";
import { viewReads } from "../sql/reading/views.ts";
import * as operationalEvents from "./attempts/operational-events.ts";
import * as recordAttempt from "./attempts/record-attempt.ts";
import * as commitCall from "./calls/commit-call.ts";
import * as watchedCalls from "./calls/watched-calls.ts";
import type { Database } from "./connection/database.ts";
import * as claimDue from "./deliveries/claim-due.ts";
import * as claims from "./deliveries/claims.ts";
import * as recover from "./deliveries/recover.ts";
import * as sendJobs from "./deliveries/send-jobs.ts";
import * as expiringKeys from "./keys/expiring-keys.ts";
import * as serverKeys from "./keys/server-keys.ts";
import * as sweep from "./marks/sweep.ts";
import * as placings from "./placings/placings.ts";
import * as accounts from "./accounts/accounts.ts";
import * as deliveries from "./reading/deliveries.ts";
import * as events from "./reading/events.ts";
import * as selects from "./reading/selects.ts";
import * as stats from "./reading/stats.ts";
import * as watches from "./reading/watches.ts";
import * as endpointRegistration from "./registration/endpoints.ts";
import * as hookRegistration from "./registration/hooks.ts";
import * as watchRegistration from "./registration/register-watches.ts";
import * as secrets from "./registration/secrets.ts";
import * as storedAnswers from "./registration/stored-answers.ts";
import * as watchRemoval from "./registration/watches.ts";
import * as retention from "./retention/delete-expired.ts";
import * as recount from "./retention/recount.ts";

/** The functions of the port that are one operation each, of the writer thread or the reader thread. */
export type OperationPort = Omit<ServiceStore, "fatal" | "close" | "underKey">;

/** An operation inside its thread: the arguments of its function of the port, and its result, at once or with a promise. */
type OnDatabase<PortFunction> = PortFunction extends (...args: infer Args) => infer Result
  ? (db: Database, ...args: Args) => Result | Awaited<Result>
  : never;
type Operations = { readonly [Name in keyof OperationPort]: OnDatabase<OperationPort[Name]> };

/** Number of an operation on the wire. `types` exists for the compiler alone. */
export type OperationNumber<Args extends readonly unknown[] = readonly unknown[], Result = unknown> = number & {
  readonly types?: { readonly args: Args; readonly result: Result };
};
type NumberOf<PortFunction> = PortFunction extends (...args: infer Args) => infer Result ? OperationNumber<Args, Awaited<Result>> : never;

/** Operations that write nothing. They need no savepoint, and a group of them needs no write lock. */
const reads = {
  ...shared.reads,
  ...accounts.reads,
  ...deliveries.reads,
  ...events.reads,
  ...markRows.reads,
  ...sendJobs.reads,
  ...serverKeys.reads,
  ...stats.reads,
  ...storedAnswers.reads,
  ...watchedCalls.reads,
  ...watches.reads,
  ...viewReads(selects),
} satisfies Partial<Operations>;

/** Thread in which a read runs, if the database is a file. */
type ReadThread = "reader" | "writer";
type Placement = Partial<Record<keyof typeof reads, ReadThread>>;

/**
 * Lists, pages and gauges, which requests and scrapes show. Their cost grows with the rows that a filter skips or a view
 * counts, so none may run between two commits. They need what is committed and nothing else.
 */
const shown = {
  countAttempts: "reader",
  getCall: "reader",
  getDelivery: "reader",
  getEndpoint: "reader",
  getEvent: "reader",
  getHook: "reader",
  getPlacing: "reader",
  getWatch: "reader",
  listAccounts: "reader",
  listAllAudit: "reader",
  listAudit: "reader",
  listDeliveries: "reader",
  listEndpoints: "reader",
  listHooks: "reader",
  listKeys: "reader",
  listPlacings: "reader",
  listPortalLinks: "reader",
  listRecentEvents: "reader",
  listTimeline: "reader",
  listWatches: "reader",
  listWatchesByMetadata: "reader",
  listWatchEvents: "reader",
  pageKeys: "reader",
  readActivity: "reader",
  readFeed: "reader",
  readStats: "reader",
} as const satisfies Placement;

/**
 * Look-ups by a key, ahead of every request and every write with an `Idempotency-Key`. Each reads a row or two, and a queue
 * behind the lists of others would delay registrations. A stored answer is looked up again inside the group of its write,
 * where only the writer's connection sees what the group has written.
 */
const lookedUp = {
  findAccountByKey: "writer",
  findPlacing: "writer",
  findPortalLink: "writer",
  findStoredAnswer: "writer",
  getAccount: "writer",
  isSessionEnded: "writer",
} as const satisfies Placement;

/**
 * State that the engine acts on: calls and keys at the start, sources and targets while it runs, and what the command line changes next.
 * It must not be rejected because the queue of the lists is full, and its pages alternate with writes.
 */
const actedOn = {
  findAccount: "writer",
  findOldestAccount: "writer",
  findServersWithoutKey: "writer",
  listDisabledAccounts: "writer",
  listMarkedAccounts: "writer",
  listSealed: "writer",
  listSources: "writer",
  listStatusAges: "writer",
  loadWatchedCalls: "writer",
  readKeyIds: "writer",
  readTargets: "writer",
} as const satisfies Placement;

// The compiler checks that every read has a thread, and that no write has the reader's.
const threadOfRead: Record<keyof typeof reads, ReadThread> = { ...shown, ...lookedUp, ...actedOn };

/** Makes an operation whose statements are shared with Postgres empty the cache, because it writes rows that the cache may have. */
function emptyingCache<Args extends readonly unknown[], Result>(
  operation: (db: Database, ...args: Args) => Promise<Result>,
): (db: Database, ...args: Args) => Promise<Result> {
  return async (db, ...args) => {
    const result = await operation(db, ...args);
    db.cache.forgetAll();
    return result;
  };
}

const writes = {
  ...shared.writes,
  ...accounts.writes,
  ...claimDue.writes,
  ...claims.writes,
  ...commitCall.writes,
  ...endpointRegistration.writes,
  ...expiringKeys.writes,
  ...hookRegistration.writes,
  ...operationalEvents.writes,
  ...placings.writes,
  ...recordAttempt.writes,
  ...recover.writes,
  ...recount.writes,
  ...retention.writes,
  removeAccount: emptyingCache(shared.writes.removeAccount),
  setAccountState: emptyingCache(shared.writes.setAccountState),
  moveSchedule: emptyingCache(moveSchedule),
  replaceSealed: emptyingCache(shared.writes.replaceSealed),
  ...secrets.writes,
  ...storedAnswers.writes,
  rotateSecret: emptyingCache(secrets.writes.rotateSecret),
  ...serverKeys.writes,
  ...sweep.writes,
  ...watchRegistration.writes,
  ...watchRemoval.writes,
  ...watchedCalls.writes,
} satisfies Partial<Operations>;

// The compiler checks that every function of the port is here.
const operations: Operations = { ...reads, ...writes };
const byNumber = Object.values(operations) as readonly ((db: Database, ...args: readonly unknown[]) => unknown)[];
const names = Object.keys(operations);
const readNumbers: ReadonlySet<number> = new Set(names.flatMap((name, number) => (name in reads ? [number] : [])));
const readerNumbers: ReadonlySet<number> = new Set(
  Object.entries(threadOfRead).flatMap(([name, thread]) => (thread === "reader" ? [names.indexOf(name)] : [])),
);

/** Number of each operation: its place in the table. All threads load the same table, so they agree on the numbers. */
export const operationNumbers = Object.fromEntries(names.map((name, number) => [name, number])) as {
  readonly [Name in keyof OperationPort]: NumberOf<OperationPort[Name]>;
};

/** Returns whether the operation writes nothing; false for an unknown number. */
export function isRead(operation: OperationNumber): boolean {
  return readNumbers.has(operation);
}

/** Returns whether the operation is a read of the reader thread; false for an unknown number. */
export function isReadersRead(operation: OperationNumber): boolean {
  return readerNumbers.has(operation);
}

/** Runs the operation and returns its result, at once or with a promise. Throws for an unknown number. */
export function runOperation<Args extends readonly unknown[], Result>(
  db: Database,
  operation: OperationNumber<Args, Result>,
  args: Args,
): Result | Promise<Result> {
  const run = byNumber[operation];
  if (run === undefined) throw new Error(`the writer thread has no operation ${operation}`);
  return run(db, ...args) as Result | Promise<Result>;
}

/** Returns the functions of the port; each passes the number of its operation and its arguments to `run`. */
export function bindOperations(
  run: <Args extends readonly unknown[], Result>(operation: OperationNumber<Args, Result>, args: Args) => Promise<Result>,
): OperationPort {
  return Object.fromEntries(
    Object.entries<OperationNumber>(operationNumbers).map(([name, number]) => [name, (...args: readonly unknown[]) => run(number, args)]),
  ) as OperationPort;
}
