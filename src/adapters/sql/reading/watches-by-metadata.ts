import { hasMetadata, metadataHash } from "../../../domain/calls/watch-metadata.ts";
import { decodeId, unknownKey } from "../../../domain/ids.ts";
import type { Page, ReadStore, WatchView } from "../../../ports/stores/read-store.ts";
import { decodeNumberCursor, encodeCursor } from "../cursor.ts";
import { readMarks } from "../marks/mark-rows.ts";
import { seeWatches } from "../marks/seen-rows.ts";
import type { SqlQueries } from "../queries.ts";
import { integer, json } from "../rows.ts";
import { watchViewOf } from "../view-rows.ts";

type Query = Parameters<ReadStore["listWatchesByMetadata"]>[0];

/** Number of index entries that one statement reads, and number of such statements for one page. */
const scannedEntries = 500;
const maxScans = 40;

/** Keys of watches, descending, and the key that the next scan begins before; `null` at the end. */
type Scan = { readonly keys: readonly number[]; readonly nextBefore: number | null };

/**
 * Lists the watches of an account that have every pair, newest first. A SID leads to the watches, or else the first pair;
 * their rows are compared with everything else. A page whose scans pass very many others ends before it is full, and its
 * cursor leads on.
 */
export async function listByMetadata(db: SqlQueries, watchSelect: string, query: Query): Promise<Page<WatchView>> {
  const { limit } = query;
  const marks = await readMarks(db, decodeId(query.accountId));
  const found: WatchView[] = [];
  let before: number | null = query.cursor === null ? Number.MAX_SAFE_INTEGER : decodeNumberCursor(query.cursor);
  for (let scans = 0; scans < maxScans && before !== null && found.length <= limit; scans++) {
    const { keys, nextBefore }: Scan = await scan(db, query, before);
    const candidates = await selectCandidates(db, query, keys);
    for (let from = 0; from < candidates.length && found.length <= limit; from += limit + 1) {
      const chunk = candidates.slice(from, from + limit + 1);
      const rows = await db.all(`${watchSelect} where w.id in (${places(chunk)}) order by w.id desc`, ...padded(chunk));
      const views = (await seeWatches(db, marks, rows)).map(watchViewOf);
      found.push(...views.filter(({ watch }) => query.status === null || watch.status === query.status));
    }
    before = nextBefore;
  }
  const data = found.slice(0, limit);
  const last = found.length > limit ? decodeId(data.at(-1)?.watch.id ?? "") : before;
  return { data, nextCursor: last === null ? null : encodeCursor(last) };
}

/** Reads the keys of watches before a key. The bounds and the order name all columns of the index, so that the plan uses it. */
async function scan(db: SqlQueries, query: Query, before: number): Promise<Scan> {
  const accountKey = decodeId(query.accountId);
  if (query.callSid !== null) {
    // Each source has one call of a SID at most. A join is no alternative: without statistics Postgres reads all watches for it.
    const calls = (await db.all("select id from calls where call_sid = ?1", query.callSid)).map((row) => integer(row, "id"));
    if (calls.length === 0) return scanned([]);
    const own = padded(calls);
    const rows = await db.all(
      `select id from watches where call_id in (${places(calls)}) and (account_id + 0) = ?${own.length + 1} and (id + 0) < ?${own.length + 2}
       order by (id + 0) desc limit ?${own.length + 3}`,
      ...own,
      accountKey,
      before,
      scannedEntries,
    );
    return scanned(rows.map((row) => integer(row, "id")));
  }
  const [[key, value] = ["", ""]] = Object.entries(query.metadata);
  const rows = await db.all(
    `select watch_id from watch_metadata where (account_id, hash, watch_id) < (?1, ?2, ?3) and (account_id, hash) >= (?1, ?2)
     order by account_id desc, hash desc, watch_id desc limit ?4`,
    accountKey,
    metadataHash(key, value),
    before,
    scannedEntries,
  );
  return scanned(rows.map((row) => integer(row, "watch_id")));
}

function scanned(keys: readonly number[]): Scan {
  return { keys, nextBefore: keys.length < scannedEntries ? null : (keys.at(-1) ?? null) };
}

/** Selects the watches that have every pair, and the status or one that a running mark may have changed. */
async function selectCandidates(db: SqlQueries, { status, metadata }: Query, keys: readonly number[]): Promise<readonly number[]> {
  if (keys.length === 0) return [];
  const rows = await db.all(`select id, status, metadata from watches where id in (${places(keys)}) order by id desc`, ...padded(keys));
  return rows
    .filter((row) => row["status"] !== "purged" && (status === null || row["status"] === status || row["status"] === "active"))
    .filter((row) => hasMetadata(json(row, "metadata"), metadata))
    .map((row) => integer(row, "id"));
}

/** Returns the keys with keys of no row behind them, so that there are few numbers of keys and few statements to prepare. */
function padded(keys: readonly number[]): readonly number[] {
  const length = 2 ** Math.ceil(Math.log2(keys.length));
  return [...keys, ...Array.from({ length: length - keys.length }, () => unknownKey)];
}

function places(keys: readonly number[]): string {
  return padded(keys)
    .map((_, index) => `?${index + 1}`)
    .join(", ");
}
