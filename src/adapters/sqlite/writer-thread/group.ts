import { messageOf, stackOf } from "../../../domain/error-text.ts";
import { RingbackError } from "../../../domain/errors.ts";
import type { AnswerDraft, ClaimedRun, IdempotencyClaim } from "../../../ports/stores/idempotency-store.ts";
import { insertStoredAnswer } from "../../sql/registration/stored-answers.ts";
import type { Database } from "../connection/database.ts";
import { busyCode, isFatalCode, resultCodeOf } from "../connection/result-code.ts";
import { isRead, runOperation } from "../operations.ts";
import type { OperationNumber } from "../operations.ts";
import * as storedAnswers from "../registration/stored-answers.ts";

export type Request = {
  readonly operation: OperationNumber;
  readonly args: readonly unknown[];
  readonly claim?: IdempotencyClaim;
  /** Reason why the operation must not run: its arguments could not cross to this thread. */
  readonly refusal?: string;
};
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
export type ClaimedValue = { readonly kind: "ran" } | Exclude<ClaimedRun<never>, { readonly kind: "ran" }>;
/** Result of a claimed operation, by its place in the group. */
export type ClaimedResult = { readonly index: number; readonly value: unknown };
export type DraftResult =
  | { readonly kind: "draft"; readonly draft: AnswerDraft | null }
  /** The operation must be rolled back. */
  | { readonly kind: "failed"; readonly message: string };

/** Makes the value of an answer ready to cross. Throws if it cannot; then its operation fails and is rolled back. */
export type PackValue = (request: Pick<Request, "operation" | "claim">, value: unknown) => unknown;
/** One run of a group. */
type GroupRun = { readonly db: Database; readonly claimed: ClaimedOperations; readonly packValue: PackValue };

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
  packValue: PackValue = (_request, value) => value,
): Promise<GroupResult> {
  const { connection } = db;
  const writes = !requests.every((request) => isRead(request.operation));
  const failed = new Map<number, Answer>();
  let run: RunInGroup = runBare;
  try {
    for (;;) {
      db.run(writes ? "begin immediate" : "begin");
      db.counters.forget();
      if (writes) db.cache.noticeVersion(db.get("pragma data_version")?.["data_version"]);
      const claimed = new ClaimedOperations(db, packValue);
      const group: GroupRun = { db, claimed, packValue };
      const answers: Answer[] = [];
      try {
        for (const [index, request] of requests.entries()) {
          const answer = failed.get(index) ?? run(group, request, index);
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
  readonly #packValue: PackValue;
  readonly #ids = new Set<string>();
  readonly results: ClaimedResult[] = [];

  constructor(db: Database, packValue: PackValue) {
    this.#db = db;
    this.#packValue = packValue;
  }

  async run(index: number, claim: IdempotencyClaim, request: Request): Promise<ClaimedValue> {
    if (this.#ids.has(claim.id)) return { kind: "running" };
    const stored = await storedAnswers.reads.findStoredAnswer(this.#db, claim);
    if (stored !== null) return stored;
    const noRoom = await storedAnswers.checkRoom(this.#db, claim);
    if (noRoom !== null) return noRoom;
    const result = await runRequest(this.#db, request);
    this.results.push({ index, value: this.#packValue({ operation: request.operation }, result) });
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
type RunInGroup = (group: GroupRun, request: Request, index: number) => Answer | Promise<Answer>;

/** Runs an operation without a savepoint. Throws if a write fails; half of the rows of the operation may then be written. */
function runBare(group: GroupRun, request: Request, index: number): Answer | Promise<Answer> {
  if (isRead(request.operation)) return runRead(group, request);
  const value = runWrite(group, request, index);
  return value instanceof Promise ? value.then((value) => succeed(group, request, value)) : succeed(group, request, value);
}

async function runIsolated(group: GroupRun, request: Request, index: number): Promise<Answer> {
  if (isRead(request.operation)) return runRead(group, request);
  const { db } = group;
  db.run("savepoint operation");
  const counted = db.counters.save();
  try {
    const answer = succeed(group, request, await runWrite(group, request, index));
    db.run("release operation");
    return answer;
  } catch (error) {
    const answer = failure(error);
    db.run("rollback to operation");
    db.cache.forgetAll();
    db.counters.restore(counted);
    db.run("release operation");
    return answer;
  }
}

function runRead(group: GroupRun, request: Request): Answer | Promise<Answer> {
  try {
    const value = runRequest(group.db, request);
    if (value instanceof Promise) return value.then((value) => succeed(group, request, value)).catch(failure);
    return succeed(group, request, value);
  } catch (error) {
    return failure(error);
  }
}

function runWrite({ db, claimed }: GroupRun, request: Request, index: number): unknown {
  const { claim } = request;
  return claim === undefined ? runRequest(db, request) : claimed.run(index, claim, request);
}

/** Runs the operation of a request and returns its result, at once or with a promise. Throws for one that must not run. */
export function runRequest(db: Database, { operation, args, refusal }: Request): unknown {
  if (refusal !== undefined) throw new Error(refusal);
  return runOperation(db, operation, args);
}

function succeed({ packValue }: GroupRun, request: Request, value: unknown): Answer {
  return success(packValue(request, value));
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
