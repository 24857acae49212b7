import type { EventType } from "../../../domain/event.ts";
import { newsAfterAttempt } from "../../../domain/operational-news.ts";
import type { OperationalNews } from "../../../domain/operational-news.ts";
import type { AttemptRecord, AttemptRecorded } from "../../../ports/delivery-store.ts";
import type { SendJob } from "../../../ports/send-job.ts";
import type { Transaction } from "../database.ts";
import { Attempted } from "../tables/attempted.ts";
import type { Decided } from "../tables/attempted.ts";
import { insertEvents } from "../tables/deliveries.ts";
import type { NewEvent } from "../tables/deliveries.ts";
import { raiseHosts, refreshEndpoints } from "../tables/due.ts";
import { noticesOf, operationalEvents } from "../tables/operational-events.ts";
import { lockForRetiring, retireEndpoints } from "../tables/retire-endpoint.ts";
import type { Retired } from "../tables/retire-endpoint.ts";
import { integer, text } from "../../rows.ts";

const nothingRetired: Retired = { unwatchedCallIds: [], notices: [] };

/**
 * Attempts of different deliveries, together: attempt, delivery, lane, endpoint and host in one transaction, by what
 * `decideAfterAttempt` says of the rows as they stand. The number of the lease alone says whether the attempt may be
 * recorded: an answer that was on its way while the instance was evicted is still one.
 *
 * Operational events are told last, and lock hooks, the instance and their endpoints behind what is locked here: with a hook
 * that is being removed or an instance being evicted that may be a deadlock, which the server ends and the transaction
 * survives by being run again.
 */
export async function recordAttempts(tx: Transaction, records: readonly AttemptRecord[]): Promise<readonly AttemptRecorded[]> {
  const deliveryIds = records.map(({ deliveryId }) => deliveryId);
  await lockWhatMayEnd(tx, records);
  const attempted = await Attempted.load(tx, deliveryIds);
  const decided = records.map((record) => attempted.decide(record));
  const news = records.map((record, index) => newsOf(decided[index] ?? null, record.nowMs));
  const writing = Promise.all([attempted.write(tx), retire(tx, records, decided)]);
  const consequences = news.flat();
  // What is told may go to the same host, so its bound is taken after it; mostly there is nothing to tell, and all goes at once.
  const told = consequences.length === 0 ? nothingTold : await writing.then(() => tell(tx, consequences));
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

async function tell(tx: Transaction, news: readonly OperationalNews[]): Promise<Told> {
  const events = await operationalEvents(tx, news);
  const wanted = events.filter((event) => event !== null);
  return { events, jobs: await insertEvents(tx, wanted.length === 0 ? null : await tokenOrNull(tx), wanted) };
}

/** What a 410 ends is locked before the endpoints are. */
async function lockWhatMayEnd(tx: Transaction, records: readonly AttemptRecord[]): Promise<void> {
  const gone = records.filter(({ outcome }) => outcome.kind === "answered" && outcome.statusCode === 410);
  if (gone.length === 0) return;
  const rows = await tx.all(
    "select distinct endpoint_id from deliveries where id = any($1)",
    gone.map(({ deliveryId }) => deliveryId),
  );
  await lockForRetiring(
    tx,
    rows.map((row) => text(row, "endpoint_id")),
  );
}

async function retire(
  tx: Transaction,
  records: readonly AttemptRecord[],
  decided: readonly (Decided | null)[],
): Promise<ReadonlyMap<string, Retired>> {
  const gone = new Map<string, number>();
  for (const [index, one] of decided.entries())
    if (one?.result.endpointChange === "disabled_gone") gone.set(text(one.row, "endpoint_id"), records[index]?.nowMs ?? 0);
  return gone.size === 0 ? new Map() : retireEndpoints(tx, [...gone.keys()], Math.max(...gone.values()));
}

/** To whom operational events are leased; evicted, to nobody: the others send them. */
async function tokenOrNull(tx: Transaction): Promise<number | null> {
  const row = await tx.get("select token from instances where token = $1 for key share", tx.token);
  return row === undefined ? null : integer(row, "token");
}

function newsOf(one: Decided | null, nowMs: number): readonly OperationalNews[] {
  if (one === null) return [];
  const { row, result } = one;
  const about = {
    accountId: text(row, "account_id"),
    endpointId: text(row, "endpoint_id"),
    eventType: text(row, "event_type") as EventType,
  };
  return newsAfterAttempt(about, result, nowMs);
}
