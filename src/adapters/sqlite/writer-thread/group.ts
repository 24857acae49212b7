import { messageOf, stackOf } from "../../../domain/error-text.ts";
import { RingbackError } from "../../../domain/errors.ts";
import type { AnswerDraft, IdempotencyClaim, StoredAnswer } from "../../../ports/stores/idempotency-store.ts";
import { insertStoredAnswer } from "../../sql/registration/stored-answers.ts";
import type { Database } from "../connection/database.ts";
import { busyCode, isFatalCode, resultCodeOf } from "../connection/result-code.ts";
import { isRead, runOperation } from "../operations.ts";
import type { OperationNumber } from "../operations.ts";
import * as storedAnswers from "../registration/stored-answers.ts";

export type Request = { readonly operation: OperationNumber; readonly args: readonly unknown[]; readonly claim?: IdempotencyClaim };
export type Answer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: string; readonly message: string };
export type GroupResult =
  | {
      readonly kind: "answers";
      readonly answers: readonly Answer[];
      /** `null` if nothing was written. */ readonly commitMs: number | null;
    }
  /** The database failed, and whether the group is on disk is unknown. */
  | { readonly kind: "fatal"; readonly message: string };

/** Value of a claimed operation. If the operation ran, its result was already sent with the request for the draft and is not sent again. */
export type ClaimedValue = { readonly kind: "ran" } | { readonly kind: "running" } | StoredAnswer;
/** Result of a claimed operation, by its place in the group. */
export type ClaimedResult = { readonly index: number; readonly value: unknown };
export type DraftResult =
  | { readonly kind: "draft"; readonly draft: AnswerDraft | null }
  /** The operation must be rolled back. */
  | { readonly kind: "failed"; readonly message: string };

const busy: Answer = { ok: false, code: "store-unavailable", message: "another process is writing to the database" };

/**
 * Runs a group in one transaction, in which each operation fails alone. Resolves after the commit, because an answer means
 * that the operation is on disk. Each operation ends before the next one starts. Operations rarely fail, so the group runs
 * without savepoints first (savepoints cost a seventh of its time). If one fails, the group is rolled back and runs again
 * with a savepoint for each. The answers of claimed operations are drafted before the commit. If a draft fails, the group
 * runs again without its operation, because later operations of the group may have used what it wrote.
 */
export async function runGroup(
  db: Database,
  requests: readonly Request[],
  draftAnswers: (results: readonly ClaimedResult[]) => Promise<readonly DraftResult[]>,
): Promise<GroupResult> {
  const { connection } = db;
  const writes = !requests.every((request) => isRead(request.operation));
  const failed = new Map<number, Answer>();
  let run: RunRequest = runBare;
  try {
    for (;;) {
      db.run(writes ? "begin immediate" : "begin");
      db.counters.forget();
      if (writes) db.cache.noticeVersion(db.get("pragma data_version")?.["data_version"]);
      const claimed = new ClaimedOperations(db);
      const answers: Answer[] = [];
      try {
        for (const [index, request] of requests.entries()) {
          const answer = failed.get(index) ?? run(db, request, index, claimed);
          // Most operations answer at once, and waiting for each would delay the group.
          answers.push(answer instanceof Promise ? await answer : answer);
        }
      } catch (error) {
        if (run === runIsolated || isFatalCode(resultCodeOf(error))) throw error;
        rollback(db);
        run = runIsolated;
        continue;
      }
      const failures = claimed.results.length === 0 ? [] : await claimed.store(requests, await draftAnswers(claimed.results));
      if (failures.length > 0) {
        rollback(db);
        for (const { index, message } of failures) failed.set(index, { ok: false, code: "bug", message });
        continue;
      }
      db.counters.write(db);
      const startedMs = performance.now();
      db.run("commit");
      return { kind: "answers", answers, commitMs: writes ? performance.now() - startedMs : null };
    }
  } catch (error) {
    if (connection.isTransaction) rollback(db);
    if (resultCodeOf(error) === busyCode) return { kind: "answers", answers: requests.map(() => busy), commitMs: null };
    return { kind: "fatal", message: messageOf(error) };
  }
}

/** Claimed operations of one run of a group. The open transaction holds their keys. */
class ClaimedOperations {
  readonly #db: Database;
  readonly #ids = new Set<string>();
  readonly results: ClaimedResult[] = [];

  constructor(db: Database) {
    this.#db = db;
  }

  async run(index: number, claim: IdempotencyClaim, operation: () => unknown): Promise<ClaimedValue> {
    if (this.#ids.has(claim.id)) return { kind: "running" };
    const stored = await storedAnswers.reads.findStoredAnswer(this.#db, claim);
    if (stored !== null) return stored;
    this.results.push({ index, value: await operation() });
    this.#ids.add(claim.id);
    return { kind: "ran" };
  }

  /** Writes the drafts, given in the order of `results`. If any failed, returns the failures and writes nothing. */
  async store(
    requests: readonly Request[],
    drafted: readonly DraftResult[],
  ): Promise<readonly { readonly index: number; readonly message: string }[]> {
    const drafts = this.results.map(({ index }, place) => ({ index, claim: requests[index]?.claim, drafted: drafted[place] }));
    const failures = drafts.flatMap(({ index, drafted }) =>
      drafted?.kind === "draft" ? [] : [{ index, message: drafted?.message ?? "the answer was not drafted" }],
    );
    if (failures.length > 0) return failures;
    for (const { claim, drafted } of drafts)
      if (claim !== undefined && drafted?.kind === "draft" && drafted.draft !== null)
        await insertStoredAnswer(this.#db, claim, drafted.draft);
    return [];
  }
}

/** Runs a request and answers at once, or with a promise if its operation does. */
type RunRequest = (db: Database, request: Request, index: number, claimed: ClaimedOperations) => Answer | Promise<Answer>;

/** Runs an operation without a savepoint. Throws if a write fails; half of the rows of the operation may then be written. */
function runBare(db: Database, request: Request, index: number, claimed: ClaimedOperations): Answer | Promise<Answer> {
  if (isRead(request.operation)) return runRead(db, request);
  const value = runWrite(db, request, index, claimed);
  return value instanceof Promise ? value.then(success) : success(value);
}

async function runIsolated(db: Database, request: Request, index: number, claimed: ClaimedOperations): Promise<Answer> {
  if (isRead(request.operation)) return runRead(db, request);
  db.run("savepoint operation");
  const counted = db.counters.save();
  try {
    const value = await runWrite(db, request, index, claimed);
    db.run("release operation");
    return success(value);
  } catch (error) {
    const answer = failure(error);
    db.run("rollback to operation");
    db.cache.forgetAll();
    db.counters.restore(counted);
    db.run("release operation");
    return answer;
  }
}

function runRead(db: Database, request: Request): Answer | Promise<Answer> {
  try {
    const value = runOperation(db, request.operation, request.args);
    return value instanceof Promise ? value.then(success, failure) : success(value);
  } catch (error) {
    return failure(error);
  }
}

function runWrite(db: Database, request: Request, index: number, claimed: ClaimedOperations): unknown {
  const { claim } = request;
  return claim === undefined
    ? runOperation(db, request.operation, request.args)
    : claimed.run(index, claim, () => runOperation(db, request.operation, request.args));
}

export function success(value: unknown): Answer {
  return { ok: true, value };
}

/** Returns the answer of an operation that failed. Throws the error of a failed database. */
export function failure(error: unknown): Answer {
  if (isFatalCode(resultCodeOf(error))) throw error;
  return {
    ok: false,
    code: error instanceof RingbackError ? error.code : "bug",
    message: stackOf(error),
  };
}

export function rollback(db: Database): void {
  db.cache.forgetAll();
  try {
    db.connection.exec("rollback");
  } catch {
    // A rollback fails only if SQLite has rolled back by itself, so the group is undone in any case.
  }
}
