import type { CallChange, CallStatus } from "../../../domain/call.ts";
import { planChange, planFirstTelling } from "../../../domain/transition.ts";
import type { CallCommit, CallCommitResult, Notice } from "../../../ports/call-store.ts";
import type { SendJob } from "../../../ports/send-job.ts";
import type { Database } from "../database.ts";
import { callStatusOf, integer } from "../../rows.ts";
import { activeWatches, hooksOf, writePlanned } from "../tables/telling.ts";
import { readWatchedCall } from "../tables/watched-call.ts";

/** Call, events, deliveries: one transaction. The version tells whether the writer knew the call as it stands. */
export function commitCall(db: Database, commit: CallCommit): CallCommitResult {
  const { callId, nowMs } = commit;
  const row = db.get("select * from calls where id = ?", callId);
  if (row === undefined || integer(row, "version") !== commit.expectedVersion) return { kind: "stale", call: readWatchedCall(db, callId) };
  let call: CallStatus = { ...callStatusOf(row), lastGoodPollAtMs: commit.lastGoodPollAtMs };
  let transition = integer(row, "transitions");
  const jobs: SendJob[] = [];
  const notices: Notice[] = [];
  const tell = (plan: typeof planFirstTelling): void => {
    const watches = activeWatches(db, callId);
    const planned = plan({ call, transition, watches, hooks: hooksOf(db, callId, watches), nowMs });
    const written = writePlanned(db, planned, { callId, transition, nowMs });
    jobs.push(...written.jobs);
    notices.push(...written.notices);
  };
  for (const change of commit.changes) {
    // Who expires with the poll that would have told it the status is told first.
    if (change.kind === "expire" && commit.confirmed) tell(planFirstTelling);
    if (change.kind === "status" || change.kind === "end") transition += 1;
    tell((input) => planChange(change, input));
    call = after(call, change, nowMs);
  }
  // Another status was told to everybody already.
  if (commit.confirmed && !commit.changes.some((change) => change.kind === "status")) tell(planFirstTelling);
  db.run(
    "update calls set status = ?, reason = ?, terminal = ?, observed_at = ?, last_good_poll_at = ?, transitions = ?, version = version + 1 where id = ?",
    call.status,
    call.reason,
    call.terminal,
    call.observedAtMs,
    call.lastGoodPollAtMs,
    transition,
    callId,
  );
  return { kind: "committed", call: readWatchedCall(db, callId), notices, jobs };
}

function after(call: CallStatus, change: CallChange, nowMs: number): CallStatus {
  switch (change.kind) {
    case "status":
      return { ...call, status: change.status, reason: change.reason, terminal: change.terminal, observedAtMs: nowMs };
    case "reason":
      return { ...call, reason: change.reason };
    case "end":
    case "expire":
      return call;
  }
}
