import { decodeId } from "../../../domain/ids.ts";
import { concernsAll } from "../../../domain/calls/call-mark.ts";
import type { CallMark } from "../../../domain/calls/call-mark.ts";
import type { CallStatus } from "../../../domain/calls/call.ts";
import { planCommit, planNotifications, watchesAfter } from "../../../domain/calls/transition.ts";
import type { CommitStep } from "../../../domain/calls/transition.ts";
import type { CallCommit, CallCommitResult, CallPortion, Notice } from "../../../ports/stores/call-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { gatherWatchedCall, integer } from "../../sql/rows.ts";
import { withoutDisabled, withWaitingDeadlines } from "../accounts/disabled-accounts.ts";
import type { Database } from "../connection/database.ts";
import { goneMarksOfCall } from "../../sql/call-marks.ts";
import { hasMarks } from "../marks/set-mark.ts";
import { readCallWithWatches, withoutGone, withoutRetired } from "./active-watches.ts";
import type { ActiveWatch } from "./active-watches.ts";
import { findStillWatching, findWithOlder, readConcerned, readPortion } from "./crowded-calls.ts";
import { readHooks, writePlanned } from "./transition-events.ts";
import { readWatchedCall } from "./watched-calls.ts";

export const writes = { commitCall, commitPortion };

type Written = { readonly watches: readonly ActiveWatch[]; readonly jobs: readonly SendJob[]; readonly notices: readonly Notice[] };
/** Facts about the watches of a call that are not at hand. */
type Others = {
  /** Whether an account's hooks were decided with a watch that is not at hand. */
  readonly isDecided: (accountId: string, step: CommitStep) => boolean;
  readonly findStillWatching: (accountIds: Iterable<string>, step: CommitStep) => ReadonlySet<string>;
};

/**
 * Writes the call with its events and deliveries in one transaction. The result is `stale` if the version changed since the
 * caller read the call. If the commit concerns more watches than one transaction writes, it sets a mark, and
 * `commitPortion` writes their events.
 */
function commitCall(db: Database, commit: CallCommit): CallCommitResult {
  const { callId, expectedVersion, nowMs } = commit;
  const callKey = decodeId(callId);
  const limit = db.markSizes.threshold;
  const found = readCallWithWatches(db, callKey, limit + 1);
  if (found === null || found.version !== expectedVersion || found.mark !== null)
    return { kind: "stale", call: readWatchedCall(db, callKey) };
  const version = expectedVersion + 1;
  const before = { call: { ...found.status, lastGoodPollAtMs: commit.lastGoodPollAtMs }, transition: found.transition };
  const { steps, call, transition } = planCommit(commit, before);
  const isNotified = commit.confirmed || commit.changes.some(({ kind }) => kind === "status");
  const after = { call, transition, version, unnotifiedFrom: isNotified ? null : found.unnotifiedFrom };
  const times = { nowMs, recordedAtMs: nowMs };
  if (found.watches.length <= limit) {
    const { watches, notices, jobs } = writeSteps(
      db,
      callKey,
      steps,
      withWaitingDeadlines(db, withoutGone(db, found.watches)),
      times,
      null,
    );
    writeCall(db, callKey, { ...after, mark: null });
    const polledFor = withoutDisabled(db, watches);
    return { kind: "committed", call: gatherWatchedCall({ ...found.call, version, status: call }, polledFor), notices, jobs };
  }
  const concerned = concernsAll(commit.changes) ? null : readConcerned(db, found, commit, limit);
  if (concerned === null) {
    const { changes, confirmed } = commit;
    const gone = hasMarks(db) ? db.all(goneMarksOfCall, callKey).map((row) => integer(row, "id")) : [];
    writeCall(db, callKey, { ...after, mark: { version, changes, confirmed, nowMs, ...before, gone, done: null } });
    return { kind: "committed", call: readWatchedCall(db, callKey), notices: [], jobs: [] };
  }
  const withOlder = findWithOlder(db, callKey, concerned);
  const { notices, jobs } = writeSteps(db, callKey, steps, withWaitingDeadlines(db, withoutGone(db, concerned)), times, {
    // A hook is sent the first event of the oldest watch alone.
    isDecided: (accountId, { change }) => change === null && withOlder.has(accountId),
    findStillWatching: (accountIds, { change }) => findStillWatching(db, callKey, accountIds, change, { nowMs, version }),
  });
  writeCall(db, callKey, { ...after, mark: null });
  return { kind: "committed", call: readWatchedCall(db, callKey), notices, jobs };
}

/** Writes the next watches of a mark, and removes the mark with the last. */
function commitPortion(db: Database, { callId, expectedVersion, nowMs }: CallPortion): CallCommitResult {
  const callKey = decodeId(callId);
  const found = readCallWithWatches(db, callKey, 0);
  if (found === null || found.mark === null || found.version !== expectedVersion)
    return { kind: "stale", call: readWatchedCall(db, callKey) };
  const { mark } = found;
  const limit = db.markSizes.portion;
  const rows = readPortion(db, found, callKey, mark, limit + 1);
  const portion = rows.slice(0, limit);
  const { notices, jobs } = writeSteps(
    db,
    callKey,
    planCommit(mark, mark).steps,
    withWaitingDeadlines(
      db,
      withoutRetired(
        db,
        withoutGone(
          db,
          portion.filter(({ sparedBy }) => sparedBy !== mark.version),
        ),
      ),
    ),
    { nowMs: mark.nowMs, recordedAtMs: nowMs },
    {
      // The first watch of an account, which was in an earlier portion, is the one that its hooks are sent.
      isDecided: (accountId) => accountId === mark.done?.accountId,
      findStillWatching: (accountIds, { change }) => findStillWatching(db, callKey, accountIds, change, mark),
    },
  );
  const last = portion.at(-1);
  const done = last === undefined || rows.length <= limit ? null : { accountId: last.accountId, watchId: last.id };
  db.run(
    "update calls set mark = ?, version = version + 1 where id = ?",
    done === null ? null : JSON.stringify({ ...mark, done } satisfies CallMark),
    callKey,
  );
  return { kind: "committed", call: readWatchedCall(db, callKey), notices, jobs };
}

/**
 * Writes a mark for one watch ahead of its portion, without deliveries, because the watch is being deleted. Its account's
 * hooks are sent the event of the next watch.
 */
export function writeMarkedAlone(db: Database, callKey: number, mark: CallMark, watch: ActiveWatch, nowMs: number): readonly Notice[] {
  const silent = { ...watch, endpointId: null };
  const others: Others = { isDecided: () => true, findStillWatching: () => new Set() };
  return writeSteps(db, callKey, planCommit(mark, mark).steps, [silent], { nowMs: mark.nowMs, recordedAtMs: nowMs }, others).notices;
}

/** Writes the events of each step for the watches as the step before left them. `others` is `null` if all watches of the call are at hand. */
function writeSteps(
  db: Database,
  callKey: number,
  steps: readonly CommitStep[],
  given: readonly ActiveWatch[],
  times: { readonly nowMs: number; readonly recordedAtMs: number },
  others: Others | null,
): Written {
  const jobs: SendJob[] = [];
  const notices: Notice[] = [];
  let watches = given;
  for (const step of steps) {
    const ofCall = readHooks(db, callKey, watches);
    const hooks = others === null ? ofCall : ofCall.filter(({ accountId }) => !others.isDecided(accountId, step));
    const stillWatching = others?.findStillWatching(
      hooks.map(({ accountId }) => accountId),
      step,
    );
    const watching = stillWatching === undefined ? {} : { watching: stillWatching };
    const planned = planNotifications(step.change, { ...step, ...watching, watches, hooks, nowMs: times.nowMs });
    const written = writePlanned(db, planned, { callKey, transition: step.transition, ...times });
    watches = watchesAfter(watches, planned);
    jobs.push(...written.jobs);
    notices.push(...written.notices);
  }
  return { watches, jobs, notices };
}

type StateAfter = {
  readonly call: CallStatus;
  readonly transition: number;
  readonly version: number;
  readonly unnotifiedFrom: number | null;
  readonly mark: CallMark | null;
};

function writeCall(db: Database, callKey: number, { call, transition, version, unnotifiedFrom, mark }: StateAfter): void {
  db.run(
    `update calls set status = ?, reason = ?, details = ?, terminal = ?, observed_at = ?, last_good_poll_at = ?, transitions = ?, version = ?,
       unnotified_from = ?, mark = ? where id = ?`,
    call.status,
    call.reason,
    call.details,
    call.terminal,
    call.observedAtMs,
    call.lastGoodPollAtMs,
    transition,
    version,
    unnotifiedFrom,
    mark === null ? null : JSON.stringify(mark),
    callKey,
  );
}
