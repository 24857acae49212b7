import type { ServiceStore } from "../../ports/stores/service-store.ts";
import { operationFlows } from "../sql/operation-flows.ts";
import type { OperationFlow } from "../sql/operation-flows.ts";
import * as shared from "../sql/operations.ts";
import { viewReads } from "../sql/reading/views.ts";
import type { Queries } from "./connection/queries.ts";
import type { Transaction } from "./connection/transaction.ts";
import * as accounts from "./accounts/accounts.ts";
import * as operationalEvents from "./attempts/operational-events.ts";
import * as commitPortion from "./calls/commit-portion.ts";
import * as unownedCalls from "./calls/unowned-calls.ts";
import * as watchedCalls from "./calls/watched-calls.ts";
import type { Database } from "./connection/database.ts";
import * as dueClaims from "./deliveries/claim-due.ts";
import * as claims from "./deliveries/claims.ts";
import * as recovery from "./deliveries/recover.ts";
import * as schedule from "./deliveries/schedule.ts";
import * as sendJobs from "./deliveries/send-jobs.ts";
import * as expiringKeys from "./keys/expiring-keys.ts";
import * as serverKeys from "./keys/server-keys.ts";
import * as markRows from "../sql/marks/mark-rows.ts";
import * as sweep from "./marks/sweep.ts";
import * as placings from "./placings/placings.ts";
import * as deliveryReading from "./reading/deliveries.ts";
import * as endpointReading from "./reading/endpoints.ts";
import * as eventReading from "./reading/events.ts";
import * as feed from "./reading/feed.ts";
import * as selects from "./reading/selects.ts";
import * as stats from "./reading/stats.ts";
import * as watchReading from "./reading/watches.ts";
import * as endpointRegistration from "./registration/endpoints.ts";
import * as hookRegistration from "./registration/hooks.ts";
import * as secrets from "./registration/secrets.ts";
import * as storedAnswers from "./registration/stored-answers.ts";
import * as watchRegistration from "./registration/watches.ts";
import * as recount from "./retention/recount.ts";
import * as retention from "./retention/delete-expired.ts";

/** The methods of the port that are one operation each; the store batches the others. */
type SingleOperations = Omit<ServiceStore, "fatal" | "close" | "commitCall" | "recordAttempt" | "registerWatches" | "underKey">;

/** Operations that take a scope (a connection, a transaction) before the arguments of the port's methods. */
type Operations<Scope extends readonly unknown[]> = {
  readonly [Name in keyof SingleOperations]?: (
    ...args: [...Scope, ...Parameters<SingleOperations[Name]>]
  ) => ReturnType<SingleOperations[Name]>;
};

/** Statements on any connection; they read committed data. */
const reads = {
  ...shared.reads,
  ...accounts.reads,
  ...serverKeys.reads,
  ...deliveryReading.reads,
  ...sendJobs.reads,
  ...markRows.reads,
  ...eventReading.reads,
  ...stats.reads,
  ...watchReading.reads,
  ...viewReads(selects),
  ...endpointReading.reads,
  ...storedAnswers.reads,
} satisfies Operations<[Queries]>;

/** Operations of one transaction each. The instance need not be registered. */
const writes = {
  ...shared.writes,
  ...accounts.writes,
  ...claims.writes,
  ...recovery.writes,
  ...schedule.writes,
  ...endpointRegistration.writes,
  ...placings.writes,
  ...hookRegistration.writes,
  ...secrets.writes,
  ...storedAnswers.writes,
  ...sweep.writes,
  ...watchRegistration.writes,
} satisfies Operations<[Transaction]>;

/** Operations of one transaction each. Only a registered instance may commit them. */
const ownerWrites = {
  ...operationalEvents.ownerWrites,
  ...placings.ownerWrites,
  ...unownedCalls.ownerWrites,
  ...watchedCalls.ownerWrites,
  ...commitPortion.ownerWrites,
  ...claims.ownerWrites,
} satisfies Operations<[Transaction, number]>;

/** Operations of several statements or transactions. */
const composites = {
  ...expiringKeys.composites,
  ...operationalEvents.composites,
  ...watchedCalls.composites,
  ...dueClaims.composites,
  ...serverKeys.composites,
  ...feed.composites,
  ...recount.composites,
  ...retention.composites,
} satisfies Operations<[Database]>;

/** Binds every operation to the connection or the transaction that it runs on, in its flow. */
export function bindOperations(db: Database): SingleOperations {
  return {
    ...bind<[Queries], typeof reads>(reads, db, (of, run) => run(of)),
    ...bind<[Transaction], typeof writes>(writes, db, (of, run) => of.transaction(run)),
    ...bind<[Transaction, number], typeof ownerWrites>(ownerWrites, db, (of, run) => of.ownerTransaction(run)),
    ...bind<[Database], typeof composites>(composites, db, (of, run) => run(of)),
  };
}

/** The same operations without their scope. */
type Bound<Scope extends readonly unknown[], Unbound> = {
  readonly [Name in keyof Unbound]: Unbound[Name] extends (...args: [...Scope, ...infer Args]) => infer Result
    ? (...args: Args) => Result
    : never;
};

function bind<Scope extends readonly unknown[], Unbound extends Readonly<Record<string, (...args: never) => Promise<unknown>>>>(
  operations: Unbound,
  db: Database,
  within: (of: Database, run: (...scope: Scope) => Promise<unknown>) => Promise<unknown>,
): Bound<Scope, Unbound> {
  const bound = Object.entries(operations).map(([name, operation]) => {
    const run = operation as (...args: readonly unknown[]) => Promise<unknown>;
    const { flowOf } = operationFlows[name as keyof SingleOperations] as unknown as OperationFlow;
    return [name, (...args: readonly unknown[]) => within(db.of(flowOf(...args)), (...scope) => run(...scope, ...args))];
  });
  return Object.fromEntries(bound) as Bound<Scope, Unbound>;
}
