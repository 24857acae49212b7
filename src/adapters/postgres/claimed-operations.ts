import { createHash } from "node:crypto";
import type {
  AnswerDraft,
  ClaimedOperation,
  ClaimedOperations,
  ClaimedRun,
  IdempotencyClaim,
} from "../../ports/stores/idempotency-store.ts";
import { operationFlows } from "../sql/operation-flows.ts";
import type { OperationFlow } from "../sql/operation-flows.ts";
import { createPortalLink } from "../sql/portal/portal-links.ts";
import { createKey } from "../sql/accounts/api-keys.ts";
import * as placings from "../sql/placings/placings.ts";
import { insertStoredAnswer } from "../sql/registration/stored-answers.ts";
import type { Transaction } from "./connection/transaction.ts";
import { claimManualRetry, createTest } from "./deliveries/claims.ts";
import { recover } from "./deliveries/recover.ts";
import { registerHook } from "./registration/hooks.ts";
import { registerWatches } from "./registration/register-watches.ts";
import * as secrets from "./registration/secrets.ts";
import * as storedAnswers from "./registration/stored-answers.ts";

/** Runs a claimed operation in a transaction of this instance, and passes it the token of the instance. `cost`: see `operationFlows`. */
export type RunClaimed = <Result>(
  cost: number,
  work: (tx: Transaction, token: number) => Promise<ClaimedRun<Result>>,
) => Promise<ClaimedRun<Result>>;

/** Returns the claimable operations under one claim, each as the work of one transaction. */
export function operationsUnderKey(claim: IdempotencyClaim, run: RunClaimed): ClaimedOperations {
  const claimed =
    <Request, Result>(
      { costOf }: OperationFlow<[Request], Result>,
      operation: (tx: Transaction, token: number, request: Request) => Promise<Result>,
    ): ClaimedOperation<Request, Result> =>
    (request, draftAnswer) =>
      run(costOf(request), (tx, token) => runOnce(tx, claim, () => operation(tx, token, request), draftAnswer));
  return {
    registerWatches: claimed(operationFlows.registerWatches, registerWatches),
    registerHook: claimed(operationFlows.registerHook, (tx, _token, request) => registerHook(tx, request)),
    rotateSecret: claimed(operationFlows.rotateSecret, (tx, _token, request) => secrets.writes.rotateSecret(tx, request)),
    recover: claimed(operationFlows.recover, (tx, _token, request) => recover(tx, request)),
    claimManualRetry: claimed(operationFlows.claimManualRetry, claimManualRetry),
    freePlacing: claimed(operationFlows.freePlacing, (tx, _token, request) => placings.writes.freePlacing(tx, request)),
    keepAnswer: claimed(operationFlows.keepAnswer, (tx, _token, request) => storedAnswers.writes.keepAnswer(tx, request)),
    createTest: claimed(operationFlows.createTest, createTest),
    createPortalLink: claimed(operationFlows.createPortalLink, (tx, _token, request) => createPortalLink(tx, request)),
    createKey: claimed(operationFlows.createKey, (tx, _token, request) => createKey(tx, request)),
    setDefaultSecret: claimed(operationFlows.setDefaultSecret, (tx, _token, request) => secrets.writes.setDefaultSecret(tx, request)),
  };
}

/**
 * Runs the operation and stores its answer in one transaction. The lock is taken before the lookup, so that the lookup sees
 * a commit just made. The lock ends with the transaction, also on a lost connection.
 */
async function runOnce<Result>(
  tx: Transaction,
  claim: IdempotencyClaim,
  operation: () => Promise<Result>,
  draftAnswer: (result: Result) => AnswerDraft | null,
): Promise<ClaimedRun<Result>> {
  const lock = await tx.get("select pg_try_advisory_xact_lock($1::bigint) as taken", lockKeyOf(claim));
  if (lock?.["taken"] !== true) return { kind: "running" };
  // Sent together. An account without room loses some expired answers also if this key has an answer.
  const [stored, noRoom] = await Promise.all([storedAnswers.reads.findStoredAnswer(tx, claim), storedAnswers.checkRoom(tx, claim)]);
  if (stored !== null) return stored;
  if (noRoom !== null) return noRoom;
  const result = await operation();
  const draft = draftAnswer(result);
  if (draft !== null) await insertStoredAnswer(tx, claim, draft);
  return { kind: "ran", result };
}

/** Returns 64 bits of the claim's id. Two claims that share them are `running` to each other while one of them runs. */
function lockKeyOf({ id }: IdempotencyClaim): string {
  return createHash("sha256").update(id).digest().readBigInt64BE().toString();
}
