import type { CallStatus } from "../../../domain/calls/call.ts";
import { planCommit, planTelling } from "../../../domain/calls/transition.ts";
import type { CallCommit, CallCommitResult, Notice } from "../../../ports/stores/call-store.ts";
import type { Row, Transaction } from "../connection/database.ts";
import { callStatusOf, gatherWatchedCall, integer, standingCallOf, text } from "../../sql/rows.ts";
import { Telling } from "./transition-events.ts";
import type { Moment } from "./transition-events.ts";

type Written = {
  readonly row: Row;
  readonly call: CallStatus;
  readonly version: number;
  readonly transition: number;
  readonly notices: readonly Notice[];
  readonly moments: readonly Moment[];
};

/**
 * Transitions of different calls, together: calls, events, deliveries in one transaction. Each is decided by its own call's
 * row as it stands under its lock; the version and the owner say whether the writer knew the call.
 */
export async function commitCalls(tx: Transaction, token: number, commits: readonly CallCommit[]): Promise<readonly CallCommitResult[]> {
  const callIds = commits.map(({ callId }) => callId);
  const [rows, telling] = await Promise.all([
    tx.all("select * from calls where id = any($1) order by id for no key update", callIds),
    Telling.load(tx, callIds),
  ]);
  const calls = new Map(rows.map((row) => [text(row, "id"), row]));
  const written = commits.map((commit) => {
    const row = calls.get(commit.callId);
    return row !== undefined && row["owner_token"] === token && row["version"] === commit.expectedVersion
      ? plan(telling, row, commit)
      : null;
  });
  const [jobs] = await Promise.all([
    telling.write(tx, token),
    writeCalls(
      tx,
      telling,
      written.filter((one) => one !== null),
    ),
  ]);
  return commits.map((commit, index) => {
    const done = written[index];
    if (done === null || done === undefined) return { kind: "stale", call: standing(telling, calls.get(commit.callId), token) };
    return {
      kind: "committed",
      call: gather(telling, done.row, done.call, done.version),
      notices: done.notices,
      jobs: done.moments.flatMap((moment) => jobs.get(moment) ?? []),
    };
  });
}

function plan(telling: Telling, row: Row, commit: CallCommit): Written {
  const { callId, nowMs } = commit;
  const { tellings, call, transition } = planCommit(commit, {
    call: { ...callStatusOf(row), lastGoodPollAtMs: commit.lastGoodPollAtMs },
    transition: integer(row, "transitions"),
  });
  const notices: Notice[] = [];
  const moments: Moment[] = [];
  for (const { call: before, transition: at, change } of tellings) {
    const moment = { callId, transition: at, nowMs };
    moments.push(moment);
    notices.push(...telling.tell(moment, before, (input) => planTelling(change, input)));
  }
  return { row, call, version: commit.expectedVersion + 1, transition, notices, moments };
}

/** Whoever nobody watches any more is polled no more, and owned by nobody. What others did to its watches is in the answer. */
async function writeCalls(tx: Transaction, telling: Telling, written: readonly Written[]): Promise<void> {
  if (written.length === 0) return;
  await tx.run(
    `update calls c set status = u.status, reason = u.reason, terminal = u.terminal, observed_at = u.observed_at, last_good_poll_at = u.last_good_poll_at,
       transitions = u.transitions, version = u.version, watched = u.watched, owner_token = case when u.watched then c.owner_token end, touched_at = null
     from unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::bigint[], $7::integer[], $8::integer[], $9::boolean[])
       as u(id, status, reason, terminal, observed_at, last_good_poll_at, transitions, version, watched) where c.id = u.id`,
    written.map(({ row }) => text(row, "id")),
    written.map(({ call }) => call.status),
    written.map(({ call }) => call.reason),
    written.map(({ call }) => call.terminal),
    written.map(({ call }) => call.observedAtMs),
    written.map(({ call }) => call.lastGoodPollAtMs),
    written.map(({ transition }) => transition),
    written.map(({ version }) => version),
    written.map(({ row }) => telling.watchesOf(text(row, "id")).length > 0),
  );
}

/** The call as it stands for a writer who knew it otherwise; null when it is not this instance's to poll. */
function standing(telling: Telling, row: Row | undefined, token: number) {
  return row === undefined || row["owner_token"] !== token ? null : gather(telling, row, callStatusOf(row), integer(row, "version"));
}

function gather(telling: Telling, row: Row, status: CallStatus, version: number) {
  return gatherWatchedCall(standingCallOf(row, status, version), telling.watchesOf(text(row, "id")));
}
