import type { ServiceStore } from "../../ports/stores/service-store.ts";
import type { Database } from "./connection/database.ts";
import type { Queries } from "./connection/queries.ts";
import type { Transaction } from "./connection/transaction.ts";
import { claimDue } from "./deliveries/claim-due.ts";
import { claimManualRetry, createTest, releaseDeliveries } from "./deliveries/claims.ts";
import { completeAnswer, findStoredAnswer } from "./registration/stored-answers.ts";
import { findServersWithoutKey, setServerKeys } from "./keys/server-keys.ts";
import { createAccount, ensureAccount, findAccountByKey, findAccount, findOldestAccount, getAccount } from "./accounts/accounts.ts";
import { createKey, ensureKey, listKeys, revokeKey } from "./accounts/api-keys.ts";
import { deleteExpired } from "./retention/delete-expired.ts";
import { ensureHashKey, listSealed, readKeyIds, replaceSealed } from "./keys/sealed-values.ts";
import { getCall } from "./reading/calls.ts";
import { getDelivery, listDeliveries } from "./reading/deliveries.ts";
import { getEndpoint, listEndpoints } from "./reading/endpoints.ts";
import { getEvent, listRecentEvents, listWatchEvents } from "./reading/events.ts";
import { getHook, listHooks } from "./reading/hooks.ts";
import { getWatch, listWatches } from "./reading/watches.ts";
import { listSources, setSource } from "./accounts/sources.ts";
import { loadWatchedCalls } from "./calls/watched-calls.ts";
import { patchEndpoint } from "./registration/endpoints.ts";
import { checkWritable } from "./connection/check-writable.ts";
import { publishSourceEvent } from "./attempts/operational-events.ts";
import { readFeed } from "./reading/feed.ts";
import { readStats } from "./reading/stats.ts";
import { recover } from "./deliveries/recover.ts";
import { registerHook, removeHook } from "./registration/hooks.ts";
import { releaseCalls } from "./calls/unowned-calls.ts";
import { removeWatch } from "./registration/watches.ts";
import { rotateSecret, setDefaultSecret } from "./registration/secrets.ts";
import { moveSchedule } from "./deliveries/schedule.ts";

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
