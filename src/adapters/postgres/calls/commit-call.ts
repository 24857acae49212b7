import type { CallStatus } from "../../../domain/calls/call.ts";
import { decodeId } from "../../../domain/ids.ts";
import { planCommit, planNotifications } from "../../../domain/calls/transition.ts";
import type { CallCommit, CallCommitResult, Notice } from "../../../ports/stores/call-store.ts";
import type { Row } from "../../sql/rows.ts";
import { callStatusOf, gatherWatchedCall, id, integer, callRowOf } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { TransitionEvents } from "./transition-events.ts";
import type { TransitionContext } from "./transition-events.ts";

type WrittenCall = {
  readonly row: Row;
  readonly call: CallStatus;
  readonly version: number;
  readonly transition: number;
  readonly notices: readonly Notice[];
  readonly contexts: readonly TransitionContext[];
};

/**
 * Commits transitions of different calls with their events and deliveries in one transaction. Each decision uses the locked
 * row of its call; a commit is stale if the version or the owner of the row differs from what the caller expects.
 */
export async function commitCalls(tx: Transaction, token: number, commits: readonly CallCommit[]): Promise<readonly CallCommitResult[]> {
  const callKeys = commits.map(({ callId }) => decodeId(callId));
  const [rows, transitionEvents] = await Promise.all([
    tx.all("select * from calls where id = any($1) order by id for no key update", callKeys),
    TransitionEvents.load(tx, callKeys),
  ]);
  const calls = new Map(rows.map((row) => [id(row, "call", "id"), row]));
  const written = commits.map((commit) => {
    const row = calls.get(commit.callId);
    return row !== undefined && row["owner_token"] === token && row["version"] === commit.expectedVersion
      ? plan(transitionEvents, row, commit)
      : null;
  });
  const [jobs] = await Promise.all([
    transitionEvents.write(tx, token),
    writeCalls(
      tx,
      transitionEvents,
      written.filter((one) => one !== null),
    ),
  ]);
  return commits.map((commit, index) => {
    const done = written[index];
    if (done === null || done === undefined)
      return { kind: "stale", call: currentCallOf(transitionEvents, calls.get(commit.callId), token) };
    return {
      kind: "committed",
      call: gather(transitionEvents, done.row, done.call, done.version),
      notices: done.notices,
      jobs: done.contexts.flatMap((context) => jobs.get(context) ?? []),
    };
  });
}

function plan(transitionEvents: TransitionEvents, row: Row, commit: CallCommit): WrittenCall {
  const { callId, nowMs } = commit;
  const { steps, call, transition } = planCommit(commit, {
    call: { ...callStatusOf(row), lastGoodPollAtMs: commit.lastGoodPollAtMs },
    transition: integer(row, "transitions"),
  });
  const notices: Notice[] = [];
  const contexts: TransitionContext[] = [];
  for (const { call: before, transition: at, change } of steps) {
    const context = { callId, transition: at, nowMs };
    contexts.push(context);
    notices.push(...transitionEvents.planEvents(context, before, (input) => planNotifications(change, input)));
  }
  return { row, call, version: commit.expectedVersion + 1, transition, notices, contexts };
}

/**
 * Writes the calls. A call without active watches loses its owner and is not polled any more. The result of a commit
 * includes what other instances changed in the watches of the call, so touched_at is cleared.
 */
async function writeCalls(tx: Transaction, transitionEvents: TransitionEvents, written: readonly WrittenCall[]): Promise<void> {
  if (written.length === 0) return;
  await tx.run(
    `update calls c set status = u.status, reason = u.reason, terminal = u.terminal, observed_at = u.observed_at, last_good_poll_at = u.last_good_poll_at,
       transitions = u.transitions, version = u.version, watched = u.watched, owner_token = case when u.watched then c.owner_token end, touched_at = null
     from unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::bigint[], $7::integer[], $8::integer[], $9::boolean[])
       as u(id, status, reason, terminal, observed_at, last_good_poll_at, transitions, version, watched) where c.id = u.id`,
    written.map(({ row }) => integer(row, "id")),
    written.map(({ call }) => call.status),
    written.map(({ call }) => call.reason),
    written.map(({ call }) => call.terminal),
    written.map(({ call }) => call.observedAtMs),
    written.map(({ call }) => call.lastGoodPollAtMs),
    written.map(({ transition }) => transition),
    written.map(({ version }) => version),
    written.map(({ row }) => transitionEvents.watchesOf(id(row, "call", "id")).length > 0),
  );
}

/** Returns the current state of a call whose commit was stale; `null` if this instance does not own the call. */
function currentCallOf(transitionEvents: TransitionEvents, row: Row | undefined, token: number) {
  if (row === undefined || row["owner_token"] !== token) return null;
  return gather(transitionEvents, row, callStatusOf(row), integer(row, "version"));
}

function gather(transitionEvents: TransitionEvents, row: Row, status: CallStatus, version: number) {
  return gatherWatchedCall(callRowOf(row, status, version), transitionEvents.watchesOf(id(row, "call", "id")));
}
