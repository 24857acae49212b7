import type { ServiceStore } from "../../ports/stores/service-store.ts";
import type { Database, Queries, Transaction } from "./connection/database.ts";
import { claimDue } from "./deliveries/claim-due.ts";
import { claimManualRetry } from "./deliveries/claim-manual-retry.ts";
import { completeAnswer } from "./registration/complete-answer.ts";
import { findServersWithoutKey } from "./keys/find-servers-without-key.ts";
import { createAccount } from "./accounts/create-account.ts";
import { createKey } from "./accounts/create-key.ts";
import { createTest } from "./deliveries/create-test.ts";
import { deleteExpired } from "./retention/delete-expired.ts";
import { ensureAccount } from "./accounts/ensure-account.ts";
import { ensureHashKey } from "./keys/ensure-hash-key.ts";
import { ensureKey } from "./accounts/ensure-key.ts";
import { findAccountByKey } from "./accounts/find-account-by-key.ts";
import { findAccount } from "./accounts/find-account.ts";
import { findOldestAccount } from "./accounts/find-oldest-account.ts";
import { findStoredAnswer } from "./registration/find-stored-answer.ts";
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
import { recover } from "./deliveries/recover.ts";
import { registerHook } from "./registration/register-hook.ts";
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

type Port = Omit<ServiceStore, "fatal" | "close" | "commitCall" | "recordAttempt" | "registerWatches" | "runClaimed">;
type ArgsOf<Name extends keyof Port> = Parameters<Port[Name]>;
type AnswerOf<Name extends keyof Port> = ReturnType<Port[Name]>;

/** Statements on any connection; they see what is committed. */
const reads = {
  findServersWithoutKey,
  findAccount,
  findAccountByKey,
  findOldestAccount,
  findStoredAnswer,
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
  readStats,
  readKeyIds,
} satisfies Partial<{ [Name in keyof Port]: (db: Queries, ...args: ArgsOf<Name>) => AnswerOf<Name> }>;

/** A transaction each, by anybody. */
const writes = {
  checkWritable: checkWritable,
  completeAnswer,
  createAccount,
  createKey,
  ensureAccount,
  ensureHashKey,
  ensureKey,
  patchEndpoint,
  recover,
  registerHook,
  releaseDeliveries,
  removeHook,
  removeWatch,
  replaceSealed,
  revokeKey,
  rotateSecret,
  setDefaultSecret,
  setSource,
  moveSchedule,
} satisfies Partial<{ [Name in keyof Port]: (tx: Transaction, ...args: ArgsOf<Name>) => AnswerOf<Name> }>;

/** A transaction each, that only an instance which is there may make. */
const ownerWrites = {
  claimManualRetry,
  createTest,
  publishSourceEvent,
  releaseCalls,
} satisfies Partial<{ [Name in keyof Port]: (tx: Transaction, token: number, ...args: ArgsOf<Name>) => AnswerOf<Name> }>;

/** As many statements and transactions as they need. */
const others = { claimDue, deleteExpired, loadWatchedCalls, setServerKeys, readFeed } satisfies Partial<{
  [Name in keyof Port]: (db: Database, ...args: ArgsOf<Name>) => AnswerOf<Name>;
}>;

type Method<Scope extends readonly unknown[]> = (...args: readonly [...Scope, ...unknown[]]) => Promise<unknown>;

/** The methods of the port that are one operation each; the hot ones are batched by the store. */
export function bindOperations(db: Database): Port {
  const methods: { readonly [Name in keyof Port]: unknown } = {
    ...reads,
    ...writes,
    ...ownerWrites,
    ...others,
    ...bind<[Queries]>(reads, (run) => run(db)),
    ...bind<[Transaction]>(writes, (run) => db.transaction(run)),
    ...bind<[Transaction, number]>(ownerWrites, (run) => db.ownerTransaction(run)),
    ...bind<[Database]>(others, (run) => run(db)),
  };
  return methods as Port;
}

/** Each operation with what it runs on. */
function bind<Scope extends readonly unknown[]>(
  operations: object,
  within: (run: (...scope: Scope) => Promise<unknown>) => Promise<unknown>,
): Record<string, unknown> {
  return Object.fromEntries(
    (Object.entries(operations) as [string, Method<Scope>][]).map(([name, operation]) => [
      name,
      (...args: readonly unknown[]) => within((...scope) => operation(...scope, ...args)),
    ]),
  );
}
