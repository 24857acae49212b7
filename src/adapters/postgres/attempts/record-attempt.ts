import type { EventType } from "../../../domain/events/event.ts";
import { operationalEventsAfter } from "../../../domain/events/operational-events.ts";
import type { OperationalEventDraft } from "../../../domain/events/operational-events.ts";
import type { AttemptRecord, AttemptRecorded } from "../../../ports/stores/delivery-store.ts";
import type { SendJob } from "../../../ports/stores/send-job.ts";
import type { Transaction } from "../connection/database.ts";
import { LockedAttempts } from "./locked-attempts.ts";
import type { DecidedAttempt } from "./locked-attempts.ts";
import { lockConsequences } from "./attempt-locks.ts";
import type { Consequences } from "./attempt-locks.ts";
import { insertEvents } from "../deliveries/event-rows.ts";
import type { NewEvent } from "../deliveries/event-rows.ts";
import { raiseHosts, refreshEndpoints } from "../deliveries/due-bounds.ts";
import { noticesOf, operationalEvents } from "./operational-events.ts";
import { retireEndpoints } from "./retire-endpoint.ts";
import type { RetireResult } from "./retire-endpoint.ts";
import { PlainSuccesses } from "./plain-successes.ts";
import { text } from "../../sql/rows.ts";

const nothingRetired: RetireResult = { unwatchedCallIds: [], notices: [] };

/**
 * Attempts of different deliveries, together: attempt, delivery, lane, endpoint and host in one transaction, by what
 * `decideAfterAttempt` says of the rows as they stand. The number of the lease alone says whether the attempt may be
 * recorded: an answer that was on its way while the instance was evicted is still one.
 *
 * Those that change nothing but their delivery are written last, for they lock deliveries whose endpoint is not.
 */
export async function recordAttempts(tx: Transaction, records: readonly AttemptRecord[]): Promise<readonly AttemptRecorded[]> {
  const consequences = await lockConsequences(tx, records);
  const uneventful = await PlainSuccesses.load(tx, records);
  const answers = new Map<AttemptRecord, AttemptRecorded>();
  const recordAll = async (some: readonly AttemptRecord[]): Promise<void> => {
    if (some.length === 0) return;
    for (const [index, answer] of (await recordEventful(tx, some, consequences)).entries())
      answers.set(some[index] as AttemptRecord, answer);
  };
  await recordAll(records.filter((record) => !uneventful.has(record)));
  for (const [record, answer] of await uneventful.write(tx)) answers.set(record, answer);
  await recordAll(records.filter((record) => !answers.has(record)));
  return records.map((record) => answers.get(record) ?? { kind: "fenced" });
}

/** Operational events are told last; what they need is locked with what the attempts need, in the order of everybody. */
async function recordEventful(
  tx: Transaction,
  records: readonly AttemptRecord[],
  consequences: Consequences,
): Promise<readonly AttemptRecorded[]> {
  const deliveryIds = records.map(({ deliveryId }) => deliveryId);
  const attempted = await LockedAttempts.load(tx, deliveryIds, consequences.endpointIds);
  const decided = records.map((record) => attempted.decide(record));
  const news = records.map((record, index) => draftsOf(decided[index] ?? null, record.nowMs));
  const writing = Promise.all([attempted.write(tx), retire(tx, records, decided)]);
  const allNews = news.flat();
  // What is told may go to the same host, so its bound is taken after it; mostly there is nothing to tell, and all goes at once.
  const told = allNews.length === 0 ? nothingTold : await writing.then(([, ended]) => tell(tx, allNews, consequences, ended));
  const [[, retired], , bounds] = await Promise.all([
    writing,
    refreshEndpoints(tx, attempted.endpointIds),
    raiseHosts(tx, attempted.hostIds),
  ]);
  const nowMs = Math.max(...records.map((record) => record.nowMs));
  if ([...bounds.values()].some((dueAtMs) => dueAtMs !== null && dueAtMs <= nowMs)) tx.changed.add("deliveries");
  let made = 0;
  return records.map((_, index) => {
    const one = decided[index] ?? null;
    const own = told.events.slice(made, (made += news[index]?.length ?? 0));
    if (one === null) return { kind: "fenced" };
    const { result, hostId } = one;
    const { unwatchedCallIds, notices } =
      result.endpointChange === "disabled_gone" ? (retired.get(text(one.row, "endpoint_id")) ?? nothingRetired) : nothingRetired;
    return {
      kind: "recorded",
      attempt: result.attempt,
      delivery: result.delivery,
      endpoint: { state: result.endpoint.state, health: result.endpoint.health, hostPausedUntilMs: result.host.pausedUntilMs },
      endpointChange: result.endpointChange,
      jobs: own.flatMap((event: NewEvent | null) => (event === null ? [] : (told.jobs.get(event) ?? []))),
      endpointNextDueAtMs: bounds.get(hostId) ?? null,
      unwatchedCallIds,
      notices: [...notices, ...noticesOf(own)],
    };
  });
}

type Told = { readonly events: readonly (NewEvent | null)[]; readonly jobs: ReadonlyMap<NewEvent, readonly SendJob[]> };
const nothingTold: Told = { events: [], jobs: new Map() };

/** Not to endpoints that ended just now: their hooks are gone. */
async function tell(
  tx: Transaction,
  news: readonly OperationalEventDraft[],
  { token, hooks }: Consequences,
  retired: ReadonlyMap<string, RetireResult>,
): Promise<Told> {
  const events = operationalEvents(
    news,
    hooks.filter(({ endpointId }) => !retired.has(endpointId)),
  );
  const wanted = events.filter((event) => event !== null);
  return { events, jobs: await insertEvents(tx, token, wanted) };
}

async function retire(
  tx: Transaction,
  records: readonly AttemptRecord[],
  decided: readonly (DecidedAttempt | null)[],
): Promise<ReadonlyMap<string, RetireResult>> {
  const gone = new Map<string, number>();
  for (const [index, one] of decided.entries())
    if (one?.result.endpointChange === "disabled_gone") gone.set(text(one.row, "endpoint_id"), records[index]?.nowMs ?? 0);
  return gone.size === 0 ? new Map() : retireEndpoints(tx, [...gone.keys()], Math.max(...gone.values()));
}

function draftsOf(one: DecidedAttempt | null, nowMs: number): readonly OperationalEventDraft[] {
  if (one === null) return [];
  const { row, result } = one;
  const about = {
    accountId: text(row, "account_id"),
    endpointId: text(row, "endpoint_id"),
    eventType: text(row, "event_type") as EventType,
  };
  return operationalEventsAfter(about, result, nowMs);
}
