import type { ServiceStore } from "../../ports/stores/service-store.ts";
import type { Database } from "./connection/database.ts";
import { claimDue } from "./deliveries/claim-due.ts";
import { claimManualRetry } from "./deliveries/claim-manual-retry.ts";
import { commitCall } from "./calls/commit-call.ts";
import { completeAnswer } from "./registration/complete-answer.ts";
import { createAccount } from "./accounts/create-account.ts";
import { createKey } from "./accounts/create-key.ts";
import { createTest } from "./deliveries/create-test.ts";
import { deleteExpired } from "./retention/delete-expired.ts";
import { ensureAccount } from "./accounts/ensure-account.ts";
import { ensureHashKey } from "./keys/ensure-hash-key.ts";
import { ensureKey } from "./accounts/ensure-key.ts";
import { findAccount } from "./accounts/find-account.ts";
import { findAccountByKey } from "./accounts/find-account-by-key.ts";
import { findOldestAccount } from "./accounts/find-oldest-account.ts";
import { findStoredAnswer } from "./registration/find-stored-answer.ts";
import { findServersWithoutKey } from "./keys/find-servers-without-key.ts";
import { getAccount } from "./accounts/get-account.ts";
import { getCall } from "./reading/get-call.ts";
import { getDelivery } from "./reading/get-delivery.ts";
import { getEndpoint } from "./reading/get-endpoint.ts";
import { getEvent } from "./reading/get-event.ts";
import { getHook } from "./reading/get-hook.ts";
import { getWatch } from "./reading/get-watch.ts";
import { listDeliveries } from "./reading/list-deliveries.ts";
import { listEndpoints } from "./reading/list-endpoints.ts";
import { listHooks } from "./reading/list-hooks.ts";
import { listKeys } from "./accounts/list-keys.ts";
import { listRecentEvents } from "./reading/list-recent-events.ts";
import { listSealed } from "./keys/list-sealed.ts";
import { listSources } from "./accounts/list-sources.ts";
import { listWatchEvents } from "./reading/list-watch-events.ts";
import { listWatches } from "./reading/list-watches.ts";
import { loadWatchedCalls } from "./calls/load-watched-calls.ts";
import { setServerKeys } from "./keys/note-server-keys.ts";
import { patchEndpoint } from "./registration/patch-endpoint.ts";
import { checkWritable } from "./connection/probe-write.ts";
import { publishSourceEvent } from "./attempts/publish-source-event.ts";
import { readFeed } from "./reading/read-feed.ts";
import { readStats } from "./reading/read-figures.ts";
import { readKeyIds } from "./keys/read-key-ids.ts";
import { recordAttempt } from "./attempts/record-attempt.ts";
import { recover } from "./deliveries/recover.ts";
import { registerHook } from "./registration/register-hook.ts";
import { registerWatches } from "./registration/register-watches.ts";
import { releaseCalls } from "./calls/release-calls.ts";
import { releaseDeliveries } from "./deliveries/release-deliveries.ts";
import { removeHook } from "./registration/remove-hook.ts";
import { removeWatch } from "./registration/remove-watch.ts";
import { replaceSealed } from "./keys/replace-sealed.ts";
import { revokeKey } from "./accounts/revoke-key.ts";
import { rotateSecret } from "./registration/rotate-secret.ts";
import { setDefaultSecret } from "./registration/set-default-secret.ts";
import { setSource } from "./accounts/set-source.ts";
import { moveSchedule } from "./deliveries/shift-schedule.ts";

/** What an operation of the store's port looks like inside the worker: the same arguments, no promise. */
type Inside<Name extends keyof ServiceStore> = ServiceStore[Name] extends (...args: infer Args) => infer Result
  ? (db: Database, ...args: Args) => Awaited<Result>
  : never;
type PortOperation = Exclude<keyof ServiceStore, "checkWritable" | "fatal" | "close" | "underKey">;

/** Every operation, one file each. */
export const operations: { [Name in PortOperation]: Inside<Name> } & { checkWritable: (db: Database) => void } = {
  claimDue,
  claimManualRetry,
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
  setServerKeys,
  patchEndpoint,
  checkWritable,
  publishSourceEvent,
  readFeed,
  readStats,
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
  moveSchedule,
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
  "readStats",
  "readKeyIds",
]);

/** Writes nothing: needs no savepoint, and a group of such no write lock. */
export function isRead(name: OperationName): boolean {
  return reads.has(name);
}
