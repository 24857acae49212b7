import { deliveryStatuses } from "../../../domain/deliveries/delivery.ts";
import { isAboutWatch, statusesOf } from "../../../domain/deliveries/marks.ts";
import type { Mark } from "../../../domain/deliveries/marks.ts";
import { watchStatuses } from "../../../domain/calls/watch.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { DeliveryView, Page, PageRequest, ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import { decodeNumberCursor, encodeCursor } from "../cursor.ts";
import type { SqlQueries } from "../queries.ts";
import { integer } from "../rows.ts";
import type { Row } from "../rows.ts";
import { deliveryViewOf, watchViewOf } from "../view-rows.ts";
import { seeDeliveries, seeWatches } from "./seen-rows.ts";

/** Keys of a range of an index that ends with the id, between `after` (excluded) and `before` (excluded), descending. */
export type KeyRange = {
  readonly table: "deliveries" | "watches";
  readonly columns: Readonly<Record<string, string | number>>;
  readonly after: number;
  readonly before: number;
  readonly limit: number;
};

/** Reads of one database that lists need while marks run. */
export type MarkedReading = {
  readonly deliverySelect: string;
  readonly watchSelect: string;
  /** Reads the keys of a range, descending. */
  readonly readRange: (db: SqlQueries, range: KeyRange) => Promise<readonly number[]>;
  /** Keys of the deliveries of an account that are pending and leased, of which there are few; none if the ranges hold them. */
  readonly readLeased: (db: SqlQueries, accountKey: number) => Promise<readonly number[]>;
};

/**
 * Number of keys that a page reads of each range, beside those that it shows. Rows that a mark has moved to another status are
 * passed over, so a page of many such rows ends before it is full, and its cursor leads on.
 */
const scannedRows = 500;

type Source = Omit<KeyRange, "before" | "limit">;

/** One page of what the sources hold and the view shows. It may be short of `limit` rows and still have a cursor. */
async function readPage<View>(
  db: SqlQueries,
  request: PageRequest,
  reading: MarkedReading,
  {
    sources,
    extra = [],
    see,
    toView,
  }: {
    readonly sources: readonly Source[];
    /** Keys that no range holds. */
    readonly extra?: readonly number[];
    readonly see: (keys: readonly number[]) => Promise<readonly Row[]>;
    readonly toView: (row: Row) => View;
  },
): Promise<Page<View>> {
  const before = request.cursor === null ? Number.MAX_SAFE_INTEGER : decodeNumberCursor(request.cursor);
  const limit = request.limit + 1 + scannedRows;
  const found: (readonly number[])[] = [];
  for (const source of sources) found.push(await reading.readRange(db, { ...source, before, limit }));
  const floor = Math.max(-1, ...found.map((keys) => (keys.length === limit ? (keys.at(-1) ?? -1) : -1)));
  const keys = [...new Set([...found.flat(), ...extra])].filter((key) => key >= floor && key < before).toSorted((a, b) => b - a);
  const rows: Row[] = [];
  for (let from = 0; from < keys.length && rows.length <= request.limit; from += request.limit + 1)
    rows.push(...(await see(keys.slice(from, from + request.limit + 1))));
  const page = rows.slice(0, request.limit);
  const last = rows.length > request.limit ? integer(page.at(-1) ?? {}, "id") : floor;
  return { data: page.map(toView), nextCursor: last < 0 ? null : encodeCursor(last) };
}

const places = (keys: readonly number[]) => keys.map((_, index) => `?${index + 1}`).join(", ");

/** Lists deliveries while marks of the account run. */
export async function listMarkedDeliveries(
  db: SqlQueries,
  marks: readonly Mark[],
  query: Parameters<ReadStore["listDeliveries"]>[0],
  reading: MarkedReading,
): Promise<Page<DeliveryView>> {
  const accountKey = decodeId(query.accountId);
  const endpointKey = query.endpointId === null ? null : decodeId(query.endpointId);
  const watchKey = query.watchId === null ? null : decodeId(query.watchId);
  const statuses = query.status === null ? deliveryStatuses : [query.status];
  const owner: Readonly<Record<string, number>> = endpointKey === null ? { account_id: accountKey } : { endpoint_id: endpointKey };
  const ofWatch = watchKey === null ? [] : await keysOfWatch(db, watchKey);
  const ranges = statuses.map((status): Source => ({ table: "deliveries", columns: { ...owner, status }, after: -1 }));
  const sources = watchKey === null ? [...ranges, ...movedSources(marks, endpointKey, query.status)] : [];
  const moved = watchKey === null ? await movedOfWatches(db, marks, query.status) : [];
  const leased = watchKey === null && statuses.includes("pending") ? await reading.readLeased(db, accountKey) : [];
  return readPage(db, query, reading, {
    sources,
    extra: [...ofWatch, ...moved, ...leased],
    see: async (keys) => {
      const rows = await db.all(`${reading.deliverySelect} where d.id in (${places(keys)}) order by d.id desc`, ...keys);
      return (await seeDeliveries(db, marks, rows)).filter(
        (row) =>
          row["account_id"] === accountKey &&
          (endpointKey === null || row["endpoint_id"] === endpointKey) &&
          (query.status === null || row["status"] === query.status),
      );
    },
    toView: deliveryViewOf,
  });
}

/** Ranges whose rows a mark may have moved to this status. */
function movedSources(marks: readonly Mark[], endpointKey: number | null, status: string | null): readonly Source[] {
  if (status === null) return [];
  const ofEndpoints = marks.filter(
    ({ kind, targetKey }) => kind !== "gone_watches" && !isAboutWatch(kind) && (endpointKey === null || targetKey === endpointKey),
  );
  const statuses = new Set(ofEndpoints.flatMap(({ kind }) => statusesOf(kind)));
  return ofEndpoints.flatMap((mark) =>
    [...statuses]
      .filter((one) => one !== status)
      .map((one): Source => ({ table: "deliveries", columns: { endpoint_id: mark.targetKey, status: one }, after: mark.doneKey })),
  );
}

/** Number of deliveries of a watch that one page reads. */
const watchLimit = 5000;

async function keysOfWatch(db: SqlQueries, watchKey: number): Promise<readonly number[]> {
  const rows = await db.all(
    "select d.id from events e join deliveries d on d.event_position = e.position where e.watch_id = ?1 limit ?2",
    watchKey,
    watchLimit,
  );
  return rows.map((row) => integer(row, "id"));
}

/** Keys of the deliveries that the deletion of their watch has canceled. */
async function movedOfWatches(db: SqlQueries, marks: readonly Mark[], status: string | null): Promise<readonly number[]> {
  if (status !== "canceled") return [];
  const keys: number[] = [];
  for (const { kind, targetKey } of marks) {
    if (kind !== "watch_deleted") continue;
    const rows = await db.all("select id from deliveries where watch_id = ?1 and status = 'pending' limit ?2", targetKey, watchLimit);
    keys.push(...rows.map((row) => integer(row, "id")));
  }
  return keys;
}

/** Lists watches while marks of the account run. */
export async function listMarkedWatches(
  db: SqlQueries,
  marks: readonly Mark[],
  query: Parameters<ReadStore["listWatches"]>[0],
  reading: MarkedReading,
): Promise<Page<WatchView>> {
  const accountKey = decodeId(query.accountId);
  const statuses: readonly string[] = query.status === null ? watchStatuses : [query.status];
  const ranges = statuses.map((status): Source => ({ table: "watches", columns: { account_id: accountKey, status }, after: -1 }));
  const gone = query.status === "canceled" ? marks.filter(({ kind }) => kind === "gone_watches") : [];
  const ended = gone.map(({ targetKey, doneKey }): Source => ({
    table: "watches",
    columns: { endpoint_id: targetKey, status: "active" },
    after: doneKey,
  }));
  const ofCall =
    query.callSid === null
      ? []
      : await db.all(
          "select w.id from calls c join watches w on w.call_id = c.id where c.call_sid = ?1 and w.account_id = ?2 limit ?3",
          query.callSid,
          accountKey,
          watchLimit,
        );
  return readPage(db, query, reading, {
    sources: query.callSid === null ? [...ranges, ...ended] : [],
    extra: ofCall.map((row) => integer(row, "id")),
    see: async (keys) => {
      const rows = await db.all(`${reading.watchSelect} where w.id in (${places(keys)}) order by w.id desc`, ...keys);
      return (await seeWatches(db, marks, rows)).filter(
        (row) => row["status"] !== "purged" && (query.status === null || row["status"] === query.status),
      );
    },
    toView: watchViewOf,
  });
}
