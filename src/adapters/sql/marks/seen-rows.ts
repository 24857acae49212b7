import { deliveryThrough, goneMarkOf } from "../../../domain/deliveries/marks.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import { decideLane } from "../../../domain/deliveries/lane.ts";
import type { LanePlace } from "../../../domain/deliveries/lane.ts";
import { unknownKey } from "../../../domain/ids.ts";
import type { SqlQueries } from "../queries.ts";
import { integer, integerOrNull } from "../rows.ts";
import type { Row } from "../rows.ts";
import { isWantedOf, markedColumns, markedDeliveryOf, markedWatchOf } from "./marked-rows.ts";
import type { MarkedRow } from "./marked-rows.ts";

/*
 * Rows as reads show them while marks run: each with what the marks above it decide. The marks are read before the rows, so
 * that a portion between the two changes nothing: a row that it has changed already looks the same through its mark.
 */

const places = (keys: readonly number[], from = 1) => keys.map((_, index) => `?${index + from}`).join(", ");

/** Number of keys that one statement names: a database bounds its parameters. */
const keysAtOnce = 1000;

/** Reads deliveries through marks, by their keys; a purged one is `null`. */
async function readThrough(
  db: SqlQueries,
  marks: readonly Mark[],
  keys: readonly number[],
): Promise<ReadonlyMap<number, MarkedRow | null>> {
  const through = new Map<number, MarkedRow | null>();
  for (let from = 0; from < keys.length; from += keysAtOnce) {
    const chunk = keys.slice(from, from + keysAtOnce);
    const rows = await db.all(
      `select ${markedColumns} from deliveries d join events e on e.position = d.event_position
         left join attempts a on a.delivery_id = d.id and a.number = d.attempt_count left join watches w on w.id = d.watch_id
       where d.id in (${places(chunk)})`,
      ...chunk,
    );
    for (const row of rows) {
      const marked = markedDeliveryOf(row);
      through.set(
        marked.key,
        deliveryThrough(marked, marks, (mark) => isWantedOf(marked, mark)),
      );
    }
  }
  return through;
}

/** Returns rows of deliveries (with `id`) as the marks show them, without purged ones. */
export async function seeDeliveries(db: SqlQueries, marks: readonly Mark[], rows: readonly Row[]): Promise<readonly Row[]> {
  if (marks.length === 0) return rows;
  const through = await readThrough(
    db,
    marks,
    rows.map((row) => integer(row, "id")),
  );
  const shown = [...through.values()].filter((marked) => marked !== null);
  const placeOf = await seePlaces(db, marks, shown);
  return rows.flatMap((row) => {
    const marked = through.get(integer(row, "id"));
    if (marked === null || marked === undefined) return [];
    const place = placeOf.get(marked.key);
    return [
      {
        ...row,
        status: marked.status,
        steps_spent: marked.stepsSpent,
        next_attempt_at: marked.nextAttemptAtMs,
        first_attempt_at: marked.firstAttemptAtMs,
        first_failed_at: marked.firstFailedAtMs,
        settled_at: marked.settledAtMs,
        due_at: place === undefined ? marked.dueAtMs : place.dueAtMs,
        early_after: place === undefined ? marked.earlyAfter : place.earlyAfter,
        blocked_by: place?.blockedBySequence ?? null,
      },
    ];
  });
}

/** Number of deliveries of the lanes of one page that are read. */
const laneLimit = 5000;

/** Reads deliveries of watches through marks, at most `laneLimit` of them. */
async function readThroughOf(
  db: SqlQueries,
  marks: readonly Mark[],
  watchKeys: readonly number[],
): Promise<ReadonlyMap<number, MarkedRow | null>> {
  const rows = await db.all(
    `select d.id from events e join deliveries d on d.event_position = e.position
     where e.watch_id in (${places(watchKeys)}) limit ?${watchKeys.length + 1}`,
    ...watchKeys,
    laneLimit,
  );
  return readThrough(
    db,
    marks,
    rows.map((row) => integer(row, "id")),
  );
}

/** Returns when deliveries that wait in lanes may be claimed and what blocks them, decided from the lanes as the marks show them. */
async function seePlaces(
  db: SqlQueries,
  marks: readonly Mark[],
  shown: readonly MarkedRow[],
): Promise<ReadonlyMap<number, Omit<LanePlace, "deliveryId">>> {
  const waiting = shown.filter(({ status, watchKey, row }) => status === "pending" && watchKey !== null && row["sequence"] !== null);
  const watchKeys = [...new Set(waiting.map(({ watchKey }) => watchKey ?? unknownKey))];
  if (watchKeys.length === 0) return new Map();
  const through = await readThroughOf(db, marks, watchKeys);
  const entries = [...through.values()]
    .filter((marked) => marked !== null)
    .filter(({ status, row }) => status === "pending" && row["sequence"] !== null)
    .map((marked) => ({ ...marked, sequence: integer(marked.row, "sequence") }));
  const lanes = Map.groupBy(entries, ({ watchKey, endpointKey }) => `${watchKey} ${endpointKey}`);
  return new Map(
    [...lanes.values()].flatMap((lane) =>
      placesIn(lane, marks.findLast(({ detail }) => detail.orderHoldMs !== undefined)?.detail.orderHoldMs ?? 0),
    ),
  );
}

function placesIn(lane: readonly (MarkedRow & { readonly sequence: number })[], orderHoldMs: number) {
  const ordered = lane.toSorted((a, b) => a.sequence - b.sequence);
  const decided = decideLane(
    ordered.map(({ sequence, nextAttemptAtMs, firstFailedAtMs, lastRecovery }) => ({
      deliveryId: "",
      sequence,
      terminal: false,
      nextAttemptAtMs: nextAttemptAtMs ?? 0,
      firstFailedAtMs,
      lastRecovery,
    })),
    orderHoldMs,
  );
  return ordered.map(({ key }, index) => {
    const place = decided[index];
    const { dueAtMs = null, earlyAfter = null, blockedBySequence = null } = place ?? {};
    return [key, { dueAtMs, earlyAfter, blockedBySequence }] as const;
  });
}

/** Returns rows of events as the marks show them: without those of purged watches. */
export function seeEvents(marks: readonly Mark[], rows: readonly Row[]): readonly Row[] {
  const purged = purgedOf(marks);
  return purged.size === 0 ? rows : rows.filter((row) => !purged.has(integerOrNull(row, "watch_id") ?? unknownKey));
}

/** Returns the watches that marks have purged. */
export function purgedOf(marks: readonly Mark[]): ReadonlySet<number> {
  return new Set(marks.filter(({ kind }) => kind === "watch_purged").map(({ targetKey }) => targetKey));
}

/** Returns rows of watches as the marks show them. Purged ones have a status that no list selects. */
export async function seeWatches(db: SqlQueries, marks: readonly Mark[], rows: readonly Row[]): Promise<readonly Row[]> {
  if (marks.length === 0) return rows;
  const pending = await seePending(db, marks, rows);
  return rows.map((row) => {
    const gone = goneMarkOf(markedWatchOf(row), marks);
    const ended = gone === null ? {} : { status: "canceled", end_reason: "gone", ended_at: gone.createdAtMs };
    return { ...row, ...ended, pending_deliveries: pending.get(integer(row, "id")) ?? 0 };
  });
}

/** Returns the numbers of pending deliveries by watch. */
async function seePending(db: SqlQueries, marks: readonly Mark[], watches: readonly Row[]): Promise<ReadonlyMap<number | null, number>> {
  if (watches.length === 0) return new Map();
  const watchKeys = watches.map((row) => integer(row, "id"));
  const through = await readThroughOf(db, marks, watchKeys);
  const pending = [...through.values()].filter((marked) => marked?.status === "pending");
  return new Map([...Map.groupBy(pending, (marked) => marked?.watchKey ?? null)].map(([watchKey, group]) => [watchKey, group.length]));
}

/** Returns rows of endpoints as the marks show them. */
export function seeEndpoint(row: Row, marks: readonly Mark[]): Row {
  const own = marks.filter(({ targetKey }) => targetKey === row["id"]);
  const settling = own.filter(({ kind }) => kind === "gone_deliveries").reduce((sum, mark) => sum + mark.remaining, 0);
  const restarted = own.findLast(({ kind }) => kind === "gone_deliveries" || kind === "enabled");
  const backlog = Math.max(0, Number(row["backlog"]) - settling);
  const oldestDueAtMs = integerOrNull(row, "oldest_due_at");
  if (restarted === undefined || oldestDueAtMs === null) return { ...row, backlog };
  return { ...row, backlog, oldest_due_at: backlog === 0 ? null : Math.max(oldestDueAtMs, restarted.createdAtMs) };
}
