import { createHash } from "node:crypto";
import type {
  AnswerDraft,
  ClaimableOperation,
  ClaimableRequest,
  ClaimableResult,
  ClaimedRun,
  IdempotencyClaim,
} from "../../ports/stores/idempotency-store.ts";
import type { Transaction } from "./connection/database.ts";
import { claimManualRetry } from "./deliveries/claim-manual-retry.ts";
import { createTest } from "./deliveries/create-test.ts";
import { recover } from "./deliveries/recover.ts";
import { registerHook } from "./registration/register-hook.ts";
import { registerWatches } from "./registration/register-watches.ts";
import { rotateSecret } from "./registration/rotate-secret.ts";
import { insertStoredAnswer, readStoredAnswer } from "./registration/stored-answers.ts";

const operations: {
  readonly [Name in ClaimableOperation]: (
    tx: Transaction,
    token: number,
    request: ClaimableRequest<Name>,
  ) => Promise<ClaimableResult<Name>>;
} = {
  registerWatches,
  registerHook: (tx, _token, request) => registerHook(tx, request),
  rotateSecret: (tx, _token, request) => rotateSecret(tx, request),
  recover: (tx, _token, request) => recover(tx, request),
  claimManualRetry,
  createTest,
};

/** One use of a key: an operation, and what its answer is made by. */
export type Claimed<Name extends ClaimableOperation = ClaimableOperation> = {
  readonly claim: IdempotencyClaim;
  readonly name: Name;
  readonly request: ClaimableRequest<Name>;
  readonly draftAnswer: (result: ClaimableResult<Name>) => AnswerDraft | null;
};

/**
 * Work and answer in the one transaction. The lock is taken before the answer is looked for, so that a commit just made is
 * seen; it ends with the transaction, on a lost connection too.
 */
export async function runClaimedOperation<Name extends ClaimableOperation>(
  tx: Transaction,
  token: number,
  { claim, name, request, draftAnswer }: Claimed<Name>,
): Promise<ClaimedRun<ClaimableResult<Name>>> {
  const lock = await tx.get("select pg_try_advisory_xact_lock($1::bigint) as taken", lockKeyOf(claim));
  if (lock?.["taken"] !== true) return { kind: "running" };
  const stored = await readStoredAnswer(tx, claim);
  if (stored !== null) return stored;
  const result = await operations[name](tx, token, request);
  const draft = draftAnswer(result);
  if (draft !== null) await insertStoredAnswer(tx, claim, draft);
  return { kind: "ran", result };
}

/** 64 bits of the claim's id; two that share them are `running` to each other for as long as one of them takes. */
function lockKeyOf({ id }: IdempotencyClaim): string {
  return createHash("sha256").update(id).digest().readBigInt64BE().toString();
}
