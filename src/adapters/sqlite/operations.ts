import type { ServiceStore } from "../../ports/stores/service-store.ts";
import type { Database } from "./database.ts";
import { claimDue } from "./operations/claim-due.ts";
import { claimOne } from "./operations/claim-one.ts";
import { commitCall } from "./operations/commit-call.ts";
import { completeAnswer } from "./operations/complete-answer.ts";
import { createAccount } from "./operations/create-account.ts";
import { createKey } from "./operations/create-key.ts";
import { createTest } from "./operations/create-test.ts";
import { deleteExpired } from "./operations/delete-expired.ts";
import { ensureAccount } from "./operations/ensure-account.ts";
import { ensureHashKey } from "./operations/ensure-hash-key.ts";
import { ensureKey } from "./operations/ensure-key.ts";
import { findAccount } from "./operations/find-account.ts";
import { findAccountByKey } from "./operations/find-account-by-key.ts";
import { findOldestAccount } from "./operations/find-oldest-account.ts";
import { findStoredAnswer } from "./operations/find-stored-answer.ts";
import { findServersWithoutKey } from "./operations/find-servers-without-key.ts";
import { getAccount } from "./operations/get-account.ts";
import { getCall } from "./operations/get-call.ts";
import { getDelivery } from "./operations/get-delivery.ts";
import { getEndpoint } from "./operations/get-endpoint.ts";
import { getEvent } from "./operations/get-event.ts";
import { getHook } from "./operations/get-hook.ts";
import { getWatch } from "./operations/get-watch.ts";
import { listDeliveries } from "./operations/list-deliveries.ts";
import { listEndpoints } from "./operations/list-endpoints.ts";
import { listHooks } from "./operations/list-hooks.ts";
import { listKeys } from "./operations/list-keys.ts";
import { listRecentEvents } from "./operations/list-recent-events.ts";
import { listSealed } from "./operations/list-sealed.ts";
import { listSources } from "./operations/list-sources.ts";
import { listWatchEvents } from "./operations/list-watch-events.ts";
import { listWatches } from "./operations/list-watches.ts";
import { loadWatchedCalls } from "./operations/load-watched-calls.ts";
import { noteServerKeys } from "./operations/note-server-keys.ts";
import { patchEndpoint } from "./operations/patch-endpoint.ts";
import { probeWrite } from "./operations/probe-write.ts";
import { publishSourceEvent } from "./operations/publish-source-event.ts";
import { readFeed } from "./operations/read-feed.ts";
import { readFigures } from "./operations/read-figures.ts";
import { readKeyIds } from "./operations/read-key-ids.ts";
import { recordAttempt } from "./operations/record-attempt.ts";
import { recover } from "./operations/recover.ts";
import { registerHook } from "./operations/register-hook.ts";
import { registerWatches } from "./operations/register-watches.ts";
import { releaseCalls } from "./operations/release-calls.ts";
import { releaseDeliveries } from "./operations/release-deliveries.ts";
import { removeHook } from "./operations/remove-hook.ts";
import { removeWatch } from "./operations/remove-watch.ts";
import { replaceSealed } from "./operations/replace-sealed.ts";
import { revokeKey } from "./operations/revoke-key.ts";
import { rotateSecret } from "./operations/rotate-secret.ts";
import { setDefaultSecret } from "./operations/set-default-secret.ts";
import { setSource } from "./operations/set-source.ts";
import { shiftSchedule } from "./operations/shift-schedule.ts";

/** What an operation of the store's port looks like inside the worker: the same arguments, no promise. */
type Inside<Name extends keyof ServiceStore> = ServiceStore[Name] extends (...args: infer Args) => infer Result
  ? (db: Database, ...args: Args) => Awaited<Result>
  : never;
type PortOperation = Exclude<keyof ServiceStore, "checkWritable" | "fatal" | "close" | "runClaimed">;

/** Every operation, one file each. */
export const operations: { [Name in PortOperation]: Inside<Name> } & { probeWrite: (db: Database) => void } = {
  claimDue,
  claimOne,
  commitCall,
  completeAnswer,
  createAccount,
  createKey,
  createTest,
  deleteExpired,
  ensureAccount,
  ensureHashKey,
  ensureKey,
  findAccount,
  findAccountByKey,
  findOldestAccount,
  findStoredAnswer,
  findServersWithoutKey,
  getAccount,
  getCall,
  getDelivery,
  getEndpoint,
  getEvent,
  getHook,
  getWatch,
  listDeliveries,
  listEndpoints,
  listHooks,
  listKeys,
  listRecentEvents,
  listSealed,
  listSources,
  listWatchEvents,
  listWatches,
  loadWatchedCalls,
  noteServerKeys,
  patchEndpoint,
  probeWrite,
  publishSourceEvent,
  readFeed,
  readFigures,
  readKeyIds,
  recordAttempt,
  recover,
  registerHook,
  registerWatches,
  releaseCalls,
  releaseDeliveries,
  removeHook,
  removeWatch,
  replaceSealed,
  revokeKey,
  rotateSecret,
  setDefaultSecret,
  setSource,
  shiftSchedule,
};

export type OperationName = keyof typeof operations;

const reads: ReadonlySet<OperationName> = new Set<OperationName>([
  "findAccount",
  "findAccountByKey",
  "findStoredAnswer",
  "findOldestAccount",
  "findServersWithoutKey",
  "getAccount",
  "getCall",
  "getDelivery",
  "getEndpoint",
  "getEvent",
  "getHook",
  "getWatch",
  "listDeliveries",
  "listEndpoints",
  "listHooks",
  "listKeys",
  "listRecentEvents",
  "listSealed",
  "listSources",
  "listWatchEvents",
  "listWatches",
  "loadWatchedCalls",
  "readFeed",
  "readFigures",
  "readKeyIds",
]);

/** Writes nothing: needs no savepoint, and a group of such no write lock. */
export function isRead(name: OperationName): boolean {
  return reads.has(name);
}
