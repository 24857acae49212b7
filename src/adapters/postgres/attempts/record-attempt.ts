import { recordedOf } from "../../sql/attempt-recorded.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { EventType } from "../../../domain/events/event.ts";
import { operationalEventsAfter } from "../../../domain/events/operational-events.ts";
import type { OperationalEventDraft } from "../../../domain/events/operational-events.ts";
import type { AttemptRecord, AttemptRecorded } from "../../../ports/stores/delivery-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import { id, idOrNull, integer, text, textOrNull } from "../../sql/rows.ts";
import type { Transaction } from "../connection/transaction.ts";
import { insertEvents } from "../deliveries/event-rows.ts";
import type { NewEvent } from "../deliveries/event-rows.ts";
import { raiseHosts, refreshEndpoints } from "../deliveries/due-bounds.ts";
import { LockedAttempts } from "./locked-attempts.ts";
import type { DecidedAttempt } from "./locked-attempts.ts";
import { lockConsequences } from "./attempt-locks.ts";
import type { Consequences } from "./attempt-locks.ts";
import { noticesOf, operationalEvents } from "./operational-events.ts";
import { retireEndpoints } from "./retire-endpoint.ts";
import type { RetireResult } from "../../sql/canceled-notices.ts";

const nothingRetired: RetireResult = { unwatchedCallIds: [], notices: [] };

/**
 * Records attempts of different deliveries in one transaction, with all locks: attempt, delivery, lane, endpoint and host, as
 * decided by `decideAfterAttempt` on the locked rows. Only the lease token decides whether an attempt may be recorded, so that
 * a response that arrives after the eviction of the instance still counts. Operational events are inserted last; their rows
 * are locked together with those of the attempts.
 */
export async function recordAttempts(tx: Transaction, records: readonly AttemptRecord[]): Promise<readonly AttemptRecorded[]> {
  const consequences = await lockConsequences(tx, records);
  const deliveryKeys = records.map(({ deliveryId }) => decodeId(deliveryId));
  const attempted = await LockedAttempts.load(tx, deliveryKeys, consequences.endpointKeys);
  const decided = records.map((record) => attempted.decide(record, consequences.accountIds.has(record.accountId)));
  const drafts = records.map((record, index) => draftsOf(decided[index] ?? null, consequences, record.nowMs));
  const writing = Promise.all([attempted.write(tx), retire(tx, records, decided, consequences)]);
  const allDrafts = drafts.flat();
  // Operational events may go to the same host, so its bound is read after them. Usually there are none, and all statements
  // are sent together.
  const published =
    allDrafts.length === 0 ? nothingPublished : await writing.then(([, ended]) => publish(tx, allDrafts, consequences, ended));
  const [[, retired], , bounds] = await Promise.all([
    writing,
    refreshEndpoints(tx, attempted.endpointKeys),
    raiseHosts(tx, attempted.hostIds),
  ]);
  const nowMs = Math.max(...records.map((record) => record.nowMs));
  if ([...bounds.values()].some((dueAtMs) => dueAtMs !== null && dueAtMs <= nowMs)) tx.changed.add("deliveries");
  let taken = 0;
  return records.map((_, index) => {
    const decision = decided[index] ?? null;
    const ownEvents = published.events.slice(taken, (taken += drafts[index]?.length ?? 0));
    if (decision === null) return { kind: "fenced" };
    const { result, hostId } = decision;
    const { unwatchedCallIds, notices } =
      result.endpointChange === "disabled_gone" ? (retired.get(integer(decision.row, "endpoint_id")) ?? nothingRetired) : nothingRetired;
    return recordedOf(result, {
      jobs: ownEvents.flatMap((event) => published.jobs.get(event) ?? []),
      endpointNextDueAtMs: bounds.get(hostId) ?? null,
      unwatchedCallIds,
      notices: [...notices, ...noticesOf(ownEvents)],
    });
  });
}

type Published = { readonly events: readonly NewEvent[]; readonly jobs: ReadonlyMap<NewEvent, readonly SendJob[]> };
const nothingPublished: Published = { events: [], jobs: new Map() };

/** Inserts operational events, but none for endpoints that this transaction retired, because their hooks are disabled. */
async function publish(
  tx: Transaction,
  drafts: readonly OperationalEventDraft[],
  { token, hooks }: Consequences,
  retired: ReadonlyMap<number, RetireResult>,
): Promise<Published> {
  const events = operationalEvents(
    drafts,
    hooks.filter(({ endpointId }) => !retired.has(decodeId(endpointId))),
  );
  return { events, jobs: await insertEvents(tx, token, events) };
}

async function retire(
  tx: Transaction,
  records: readonly AttemptRecord[],
  decided: readonly (DecidedAttempt | null)[],
  { markedKeys }: Consequences,
): Promise<ReadonlyMap<number, RetireResult>> {
  const gone = new Map<number, number>();
  for (const [index, decision] of decided.entries())
    if (decision?.result.endpointChange === "disabled_gone") gone.set(integer(decision.row, "endpoint_id"), records[index]?.nowMs ?? 0);
  return gone.size === 0 ? new Map() : retireEndpoints(tx, [...gone.keys()], markedKeys, Math.max(...gone.values()));
}

function draftsOf(decision: DecidedAttempt | null, { accountHooks }: Consequences, nowMs: number): readonly OperationalEventDraft[] {
  if (decision === null) return [];
  const { row, result } = decision;
  const endpointId = id(row, "ep", "endpoint_id");
  const about = {
    accountId: id(row, "acc", "account_id"),
    endpointId,
    eventType: text(row, "event_type") as EventType,
    watchId: idOrNull(row, "wch", "watch_id"),
    callSid: textOrNull(row, "call_sid"),
    hookIds: accountHooks.filter((hook) => hook.endpointId === endpointId).map(({ id }) => id),
  };
  return operationalEventsAfter(about, result, nowMs);
}
