import { decodeId } from "../../../domain/ids.ts";
import { planCommit, planNotifications, watchesAfter } from "../../../domain/calls/transition.ts";
import type { CallCommit, CallCommitResult, Notice } from "../../../ports/stores/call-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { gatherWatchedCall } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { readCallWithWatches } from "./active-watches.ts";
import { readHooks, writePlanned } from "./transition-events.ts";
import { readWatchedCall } from "./watched-calls.ts";

export const writes = { commitCall };

/** Writes the call with its events and deliveries in one transaction. The result is `stale` if the version changed since the caller read the call. */
function commitCall(db: Database, commit: CallCommit): CallCommitResult {
  const { callId, expectedVersion, nowMs } = commit;
  const callKey = decodeId(callId);
  const found = readCallWithWatches(db, callKey);
  if (found === null || found.version !== expectedVersion) return { kind: "stale", call: readWatchedCall(db, callKey) };
  const { steps, call, transition } = planCommit(commit, {
    call: { ...found.status, lastGoodPollAtMs: commit.lastGoodPollAtMs },
    transition: found.transition,
  });
  const jobs: SendJob[] = [];
  const notices: Notice[] = [];
  let { watches } = found;
  for (const step of steps) {
    const planned = planNotifications(step.change, { ...step, watches, hooks: readHooks(db, callKey, watches), nowMs });
    const written = writePlanned(db, planned, { callKey, transition: step.transition, nowMs });
    watches = watchesAfter(watches, planned);
    jobs.push(...written.jobs);
    notices.push(...written.notices);
  }
  db.run(
    "update calls set status = ?, reason = ?, terminal = ?, observed_at = ?, last_good_poll_at = ?, transitions = ?, version = ? where id = ?",
    call.status,
    call.reason,
    call.terminal,
    call.observedAtMs,
    call.lastGoodPollAtMs,
    transition,
    expectedVersion + 1,
    callKey,
  );
  return {
    kind: "committed",
    call: gatherWatchedCall({ ...found.call, version: expectedVersion + 1, status: call }, watches),
    notices,
    jobs,
  };
}
