import type { CallMark } from "../../../domain/calls/call-mark.ts";
import { decodeId } from "../../../domain/ids.ts";
import { planCommit, planNotifications } from "../../../domain/calls/transition.ts";
import type { CallCommitResult, CallPortion, Notice } from "../../../ports/stores/call-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { markOf } from "../../sql/call-marks.ts";
import { isOfEnabled } from "../accounts/disabled-accounts.ts";
import type { Transaction } from "../connection/transaction.ts";
import { readCurrent } from "./commit-call.ts";
import { findStillWatching, readPortion } from "./crowded-calls.ts";
import type { PortionWatch } from "./crowded-calls.ts";
import { TransitionEvents } from "./transition-events.ts";

export const ownerWrites = { commitPortion };

/**
 * Writes the next watches of a mark, and removes the mark with the last. Only the owner of the call may, with the version
 * that it knows: an evicted instance is refused, and the next owner goes on.
 */
async function commitPortion(tx: Transaction, token: number, request: CallPortion): Promise<CallCommitResult> {
  const { callId, expectedVersion, nowMs } = request;
  const callKey = decodeId(callId);
  const row = await tx.get("select * from calls where id = $1 for no key update", callKey);
  const mark = row === undefined ? null : markOf(row);
  const calls = new Map(row === undefined ? [] : [[callId, row]]);
  if (row === undefined || mark === null || row["owner_token"] !== token || row["version"] !== expectedVersion)
    return { kind: "stale", call: (await readCurrent(tx, token, calls, [request])).get(callId) ?? null };
  const portion = await readPortion(tx, callKey, mark, tx.markSizes.portion);
  const { notices, jobs } = await writeMarked(tx, token, callKey, mark, {
    watches: portion.watches.filter(({ sparedBy }) => sparedBy !== mark.version),
    recordedAtMs: nowMs,
  });
  await tx.run(
    `update calls c set mark = $2, version = version + 1, touched_at = null, watched = u.watched, owner_token = case when u.watched then c.owner_token end
     from (select $2::text is not null or exists (select 1 from watches where call_id = $1 and status = 'active' and ${isOfEnabled("account_id")}) as watched) u where c.id = $1`,
    callKey,
    portion.done === null ? null : JSON.stringify({ ...mark, done: portion.done } satisfies CallMark),
  );
  return { kind: "committed", call: (await readCurrent(tx, token, calls, [request])).get(callId) ?? null, notices, jobs };
}

/**
 * Writes a mark for one watch ahead of its portion, without deliveries, because the watch is being deleted. Its account's
 * hooks are sent the event of the next watch.
 */
export async function writeMarkedAlone(
  tx: Transaction,
  callKey: number,
  mark: CallMark,
  watch: PortionWatch,
  nowMs: number,
): Promise<readonly Notice[]> {
  const silent = { watches: [{ ...watch, endpointId: null }], recordedAtMs: nowMs };
  const decided = { accountId: watch.accountId, watchId: watch.id };
  return (await writeMarked(tx, null, callKey, { ...mark, done: decided }, silent)).notices;
}

/** Writes the events of a mark for watches of its call, which are locked, and returns the leased jobs. */
async function writeMarked(
  tx: Transaction,
  token: number | null,
  callKey: number,
  mark: CallMark,
  { watches, recordedAtMs }: { readonly watches: readonly PortionWatch[]; readonly recordedAtMs: number },
): Promise<{ readonly notices: readonly Notice[]; readonly jobs: readonly SendJob[] }> {
  const [first] = watches;
  if (first === undefined) return { notices: [], jobs: [] };
  const { callId } = first;
  const transitionEvents = TransitionEvents.empty();
  await transitionEvents.take(tx, callId, watches);
  // An earlier portion had the first watch of this account, so its hooks were sent that watch's event.
  const decided = new Set(mark.done === null ? [] : [mark.done.accountId]);
  const withHooks = transitionEvents.accountsWithHooks(callId).filter((accountId) => !decided.has(accountId));
  const notices: Notice[] = [];
  const contexts = [];
  for (const { transition, call, change } of planCommit(mark, mark).steps) {
    const context = { callId, transition, nowMs: mark.nowMs, recordedAtMs };
    const others = { decided, watching: await findStillWatching(tx, callKey, withHooks, change, mark) };
    contexts.push(context);
    notices.push(...transitionEvents.planEvents(context, call, (input) => planNotifications(change, input), others));
  }
  const jobs = await transitionEvents.write(tx, token);
  return { notices, jobs: contexts.flatMap((context) => jobs.get(context) ?? []) };
}
