import { concernsAll, endingOf } from "../../../domain/calls/call-mark.ts";
import type { CallMark } from "../../../domain/calls/call-mark.ts";
import type { CallStatus } from "../../../domain/calls/call.ts";
import { decodeId } from "../../../domain/ids.ts";
import { planCommit, planNotifications } from "../../../domain/calls/transition.ts";
import type { CommitStep } from "../../../domain/calls/transition.ts";
import type { CallCommit, CallCommitResult, Notice } from "../../../ports/stores/call-store.ts";
import type { Row } from "../../sql/rows.ts";
import { goneMarksOfCall } from "../../sql/call-marks.ts";
import { callStatusOf, gatherWatchedCall, id, integer, callRowOf } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { findStillWatching, findWithOlder, readConcerned } from "./crowded-calls.ts";
import { TransitionEvents } from "./transition-events.ts";
import type { Others, TransitionContext } from "./transition-events.ts";
import { readWatchedCalls } from "./watched-calls.ts";

type WrittenCall = {
  readonly row: Row;
  readonly call: CallStatus;
  readonly version: number;
  readonly transition: number;
  readonly notices: readonly Notice[];
  readonly contexts: readonly TransitionContext[];
  readonly mark: CallMark | null;
  /** Whether every watch that a poll confirmed the status for is notified of it now, or by the mark. */
  readonly isNotified: boolean;
  /** Whether the call has more watches than are at hand. */
  readonly isCrowded: boolean;
};

/**
 * Commits transitions of different calls with their events and deliveries in one transaction. Each decision uses the locked
 * row of its call; a commit is stale if the version or the owner of the row differs from what the caller expects, or if a
 * mark is running. A commit that concerns more watches than one transaction writes sets a mark.
 */
export async function commitCalls(tx: Transaction, token: number, commits: readonly CallCommit[]): Promise<readonly CallCommitResult[]> {
  const callKeys = commits.map(({ callId }) => decodeId(callId));
  const limit = tx.markSizes.threshold;
  const [rows, transitionEvents] = await Promise.all([
    tx.all("select * from calls where id = any($1) order by id for no key update", callKeys),
    TransitionEvents.load(tx, callKeys, limit + 1),
  ]);
  const calls = new Map(rows.map((row) => [id(row, "call", "id"), row]));
  const written: (WrittenCall | null)[] = [];
  for (const commit of commits) {
    const row = calls.get(commit.callId);
    const isCurrent = row?.["owner_token"] === token && row["version"] === commit.expectedVersion && row["mark"] === null;
    if (row === undefined || !isCurrent) written.push(null);
    else if (!transitionEvents.isFull(commit.callId)) written.push(plan(transitionEvents, row, commit));
    else written.push(await planCrowded(tx, transitionEvents, row, commit, limit));
  }
  const [jobs] = await Promise.all([
    transitionEvents.write(tx, token),
    writeCalls(
      tx,
      transitionEvents,
      written.filter((one) => one !== null),
    ),
  ]);
  const readAgain = commits.filter((_, index) => written[index] === null || written[index]?.isCrowded === true);
  const current = await readCurrent(tx, token, calls, readAgain);
  return commits.map(({ callId }, index) => {
    const done = written[index];
    if (done === null || done === undefined) return { kind: "stale", call: current.get(callId) ?? null };
    return {
      kind: "committed",
      call: done.isCrowded ? (current.get(callId) ?? null) : gather(transitionEvents, done),
      notices: done.notices,
      jobs: done.contexts.flatMap((context) => jobs.get(context) ?? []),
    };
  });
}

function plan(
  transitionEvents: TransitionEvents,
  row: Row,
  commit: CallCommit,
  others: ((step: CommitStep) => Others) | null = null,
): WrittenCall {
  const { callId, nowMs } = commit;
  const { steps, call, transition } = planCommit(commit, stateBefore(row, commit));
  const notices: Notice[] = [];
  const contexts: TransitionContext[] = [];
  for (const step of steps) {
    const context = { callId, transition: step.transition, nowMs, recordedAtMs: nowMs };
    contexts.push(context);
    const decide = transitionEvents.planEvents(
      context,
      step.call,
      (input) => planNotifications(step.change, input),
      others?.(step) ?? null,
    );
    notices.push(...decide);
  }
  return { ...stateAfter(row, commit), call, transition, notices, contexts, mark: null, isCrowded: others !== null };
}

/** Plans a commit of a call that has more active watches than one transaction writes: for those that it concerns, or a mark. */
async function planCrowded(
  tx: Transaction,
  transitionEvents: TransitionEvents,
  row: Row,
  commit: CallCommit,
  limit: number,
): Promise<WrittenCall> {
  const { callId, changes, confirmed, nowMs } = commit;
  const callKey = decodeId(callId);
  const version = commit.expectedVersion + 1;
  const concerned = concernsAll(changes) ? null : await readConcerned(tx, row, commit, limit);
  if (concerned === null) {
    const before = stateBefore(row, commit);
    const { call, transition } = planCommit(commit, before);
    const gone = (await tx.all(goneMarksOfCall, callKey)).map((found) => integer(found, "id"));
    const mark: CallMark = { version, changes, confirmed, nowMs, ...before, gone, done: null };
    // Requests on other instances may wait for the watches that the mark ends.
    if (endingOf(mark) !== null) tx.changed.add("watches");
    await transitionEvents.take(tx, callId, []);
    return { ...stateAfter(row, commit), call, transition, notices: [], contexts: [], mark, isCrowded: true };
  }
  await transitionEvents.take(tx, callId, concerned);
  const withHooks = transitionEvents.accountsWithHooks(callId);
  const withOlder = await findWithOlder(tx, callKey, concerned);
  const watching = new Map<CommitStep["change"], ReadonlySet<string>>();
  for (const change of changes) watching.set(change, await findStillWatching(tx, callKey, withHooks, change, { nowMs, version }));
  return plan(transitionEvents, row, commit, ({ change }) => ({
    // A hook is sent the first event of the oldest watch alone.
    decided: change === null ? withOlder : new Set(),
    watching: watching.get(change) ?? new Set(),
  }));
}

function stateBefore(row: Row, { lastGoodPollAtMs }: CallCommit) {
  return { call: { ...callStatusOf(row), lastGoodPollAtMs }, transition: integer(row, "transitions") };
}

function stateAfter(row: Row, { changes, confirmed, expectedVersion }: CallCommit) {
  return { row, version: expectedVersion + 1, isNotified: confirmed || changes.some(({ kind }) => kind === "status") };
}

/**
 * Writes the calls. A call without active watches loses its owner and is not polled any more. The result of a commit
 * includes what other instances changed in the watches of the call, so touched_at is cleared.
 */
async function writeCalls(tx: Transaction, transitionEvents: TransitionEvents, written: readonly WrittenCall[]): Promise<void> {
  if (written.length === 0) return;
  await tx.run(
    `update calls c set status = u.status, reason = u.reason, details = u.details, terminal = u.terminal, observed_at = u.observed_at, last_good_poll_at = u.last_good_poll_at,
       transitions = u.transitions, version = u.version, watched = u.watched, owner_token = case when u.watched then c.owner_token end, touched_at = null,
       unnotified_from = case when u.notified then null else c.unnotified_from end, mark = u.mark
     from unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::bigint[], $7::integer[], $8::integer[], $9::boolean[],
         $10::boolean[], $11::text[], $12::text[])
       as u(id, status, reason, terminal, observed_at, last_good_poll_at, transitions, version, watched, notified, mark, details) where c.id = u.id`,
    written.map(({ row }) => integer(row, "id")),
    written.map(({ call }) => call.status),
    written.map(({ call }) => call.reason),
    written.map(({ call }) => call.terminal),
    written.map(({ call }) => call.observedAtMs),
    written.map(({ call }) => call.lastGoodPollAtMs),
    written.map(({ transition }) => transition),
    written.map(({ version }) => version),
    written.map(({ row, isCrowded }) => isCrowded || transitionEvents.polledFor(id(row, "call", "id")).length > 0),
    written.map(({ isNotified }) => isNotified),
    written.map(({ mark }) => (mark === null ? null : JSON.stringify(mark))),
    written.map(({ call }) => call.details),
  );
}

/** Reads the calls of these commits as they are now; only those that this instance owns. */
export async function readCurrent(
  tx: Transaction,
  token: number,
  calls: ReadonlyMap<string, Row>,
  commits: readonly Pick<CallCommit, "callId">[],
) {
  const owned = commits.filter(({ callId }) => calls.get(callId)?.["owner_token"] === token);
  if (owned.length === 0) return new Map<string, never>();
  const current = await readWatchedCalls(
    tx,
    owned.map(({ callId }) => decodeId(callId)),
  );
  return new Map(current.map((call) => [call.callId, call]));
}

function gather(transitionEvents: TransitionEvents, { row, call, version }: WrittenCall) {
  return gatherWatchedCall(callRowOf(row, call, version), transitionEvents.polledFor(id(row, "call", "id")));
}
