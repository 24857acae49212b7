import type { ServiceStore } from "../../ports/stores/service-store.ts";
import type { Database, Queries, Transaction } from "./database.ts";
import { claimDue } from "./operations/claim-due.ts";
import { claimOne } from "./operations/claim-one.ts";
import { completeAnswer } from "./operations/complete-answer.ts";
import { findServersWithoutKey } from "./operations/find-servers-without-key.ts";
import { createAccount } from "./operations/create-account.ts";
import { createKey } from "./operations/create-key.ts";
import { createTest } from "./operations/create-test.ts";
import { deleteExpired } from "./operations/delete-expired.ts";
import { ensureAccount } from "./operations/ensure-account.ts";
import { ensureHashKey } from "./operations/ensure-hash-key.ts";
import { ensureKey } from "./operations/ensure-key.ts";
import { findAccountByKey } from "./operations/find-account-by-key.ts";
import { findAccount } from "./operations/find-account.ts";
import { findOldestAccount } from "./operations/find-oldest-account.ts";
import { findStoredAnswer } from "./operations/find-stored-answer.ts";
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
import { recover } from "./operations/recover.ts";
import { registerHook } from "./operations/register-hook.ts";
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
  readFigures,
  readKeyIds,
} satisfies Partial<{ [Name in keyof Port]: (db: Queries, ...args: ArgsOf<Name>) => AnswerOf<Name> }>;

/** A transaction each, by anybody. */
const writes = {
  checkWritable: probeWrite,
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
  shiftSchedule,
} satisfies Partial<{ [Name in keyof Port]: (tx: Transaction, ...args: ArgsOf<Name>) => AnswerOf<Name> }>;

/** A transaction each, that only an instance which is there may make. */
const ownerWrites = {
  claimOne,
  createTest,
  publishSourceEvent,
  releaseCalls,
} satisfies Partial<{ [Name in keyof Port]: (tx: Transaction, token: number, ...args: ArgsOf<Name>) => AnswerOf<Name> }>;

/** As many statements and transactions as they need. */
const others = { claimDue, deleteExpired, loadWatchedCalls, noteServerKeys, readFeed } satisfies Partial<{
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
