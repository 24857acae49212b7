import { encodeId } from "../../../domain/ids.ts";
import type { CounterCorrection } from "../../../ports/stores/service-store.ts";
import type { SqlQueries, SqlValue } from "../queries.ts";
import { integer, text } from "../rows.ts";
import type { Row } from "../rows.ts";

/**
 * The owner of `watches <status>`, `endpoints` and `stored bytes` is an account, of `unleased` (pending deliveries without a lease) an
 * endpoint, of `deliveries <status>` 0.
 */
export type CounterKey = { readonly ownerKey: number; readonly what: string };
export type Difference = CounterKey & { readonly difference: number };

/** Reads a table in portions, in the order of an index. */
export type Walk = {
  readonly table: "deliveries" | "watches" | "endpoints" | "stored_answers";
  /** Columns that the index begins with; it ends with the id. The sums are by these columns, or by the id if there are none. */
  readonly columns: readonly ("account_id" | "endpoint_id" | "status")[];
  /** SQL expression of what a row adds to its counters. */
  readonly adds: string;
  /** Further columns that the counters are found by. Each row has a sum of its own, because there are no columns of an index. */
  readonly shows?: readonly "account_id"[];
  /** Value before every id; -1 if left out. */
  readonly beforeIds?: SqlValue;
  /** Index entries that a row costs as much as; 1 if left out. */
  readonly cost?: number;
  readonly countersOf: (row: Row) => readonly CounterKey[];
};

const walksOfRows: readonly Walk[] = [
  {
    table: "deliveries",
    columns: ["endpoint_id", "status"],
    adds: "1",
    countersOf: (row) => {
      const status = text(row, "status");
      const ofAll = { ownerKey: 0, what: `deliveries ${status}` };
      return status === "pending" ? [ofAll, { ownerKey: integer(row, "endpoint_id"), what: "unleased" }] : [ofAll];
    },
  },
  {
    table: "watches",
    columns: ["account_id", "status"],
    adds: "1",
    // A purged watch is in no counter, although its row waits for the end of its mark.
    countersOf: (row) =>
      row["status"] === "purged" ? [] : [{ ownerKey: integer(row, "account_id"), what: `watches ${text(row, "status")}` }],
  },
  {
    table: "endpoints",
    columns: ["account_id"],
    adds: "1",
    countersOf: (row) => [{ ownerKey: integer(row, "account_id"), what: "endpoints" }],
  },
];

/**
 * Returns the walk over stored answers. A row is read from its table, not from an index, and lies on a page of its own.
 * `takesRoom` is the SQL condition that the answer takes room of its account, `bytes` the SQL expression of its length.
 */
export function walkOfStoredAnswers({ takesRoom, bytes }: { readonly takesRoom: string; readonly bytes: string }): Walk {
  return {
    table: "stored_answers",
    columns: [],
    adds: `case when ${takesRoom} then ${bytes} else 0 end`,
    shows: ["account_id"],
    beforeIds: "",
    cost: 50,
    countersOf: (row) => [{ ownerKey: integer(row, "account_id"), what: "stored bytes" }],
  };
}

/** Where a database keeps its counters. */
export type StoredCounters = {
  /** Statement that returns counters as `owner_id`, `what` and `n`. */
  readonly select: string;
  /** Reads of the counters that are columns of many rows, or that the two dialects count differently. */
  readonly walks: readonly Walk[];
};

/**
 * Compares counters and rows. All statements must read one snapshot, because between two portions commits change rows on both
 * sides of the position. The snapshot holds rows and counters of the same commit, so their difference is one of the counters
 * alone, and it may be added to them at any later time.
 */
export class Recount {
  readonly #stored: string;
  readonly #walks: Walk[];
  readonly #differences = new Map<string, number>();
  /** Values of the columns of the walk, and the last id read of them; `null` if all ids were. */
  #position: { readonly range: readonly SqlValue[]; readonly afterId: SqlValue | null } | null = null;

  constructor({ select, walks }: StoredCounters) {
    this.#stored = select;
    this.#walks = [...walksOfRows, ...walks];
  }

  /** Reads at most the next `limit` index entries. Returns the differences after the last one, `null` before. */
  async advance(db: SqlQueries, limit: number): Promise<readonly Difference[] | null> {
    for (let left = limit; left > 0;) {
      const [walk] = this.#walks;
      if (walk === undefined) return this.#compare(db);
      left -= await this.#read(db, walk, left);
    }
    return null;
  }

  async #compare(db: SqlQueries): Promise<readonly Difference[]> {
    // The walk has counted the leased ones too, of which there are few.
    const leased = await db.all(
      "select endpoint_id, count(*) as n from deliveries where lease_token is not null and status = 'pending' group by endpoint_id",
    );
    for (const row of leased) this.#add({ ownerKey: integer(row, "endpoint_id"), what: "unleased" }, -integer(row, "n"));
    for (const row of await db.all(this.#stored))
      this.#add({ ownerKey: integer(row, "owner_id"), what: text(row, "what") }, -integer(row, "n"));
    return [...this.#differences].flatMap(([key, difference]) => (difference === 0 ? [] : [{ ...counterOf(key), difference }]));
  }

  /** Reads the rest of the range where the last portion ended, or the ranges behind it. Returns the number of entries. */
  async #read(db: SqlQueries, walk: Walk, mostEntries: number): Promise<number> {
    const { table, columns, adds, shows = [], beforeIds = -1, cost = 1, countersOf } = walk;
    const limit = Math.ceil(mostEntries / cost);
    const { range, afterId } = this.#position ?? {
      range: columns.map((column) => (column === "status" ? "" : -1)),
      afterId: columns.length === 0 ? beforeIds : null,
    };
    const key = [...columns, "id"].join(", ");
    const names = [key, ...shows, `${adds} as added`].join(", ");
    const places = columns.map((_, index) => `?${index + 1}`);
    // SQLite does not enter an index at a list of columns that ends with the id.
    const where =
      afterId === null
        ? `(${columns.join(", ")}) > (${places.join(", ")})`
        : [...columns.map((column, index) => `${column} = ${places[index]}`), `id > ?${columns.length + 1}`].join(" and ");
    const values = afterId === null ? range : [...range, afterId];
    const groups = columns.length === 0 ? ["id", ...shows].join(", ") : columns.join(", ");
    const rows = await db.all(
      `select ${groups}, sum(added) as n, count(*) as entries, max(id) as last from (
         select ${names} from ${table} where ${where} order by ${key} limit ?${values.length + 1}) portion
       group by ${groups} order by ${groups}`,
      ...values,
      limit,
    );
    for (const row of rows) for (const counter of countersOf(row)) this.#add(counter, integer(row, "n"));
    const entries = rows.reduce((sum, row) => sum + integer(row, "entries"), 0);
    const last = rows.at(-1);
    if (entries === limit && last !== undefined)
      this.#position = {
        range: columns.map((column) => last[column] as SqlValue),
        afterId: typeof beforeIds === "string" ? text(last, "last") : integer(last, "last"),
      };
    else if (afterId !== null && columns.length > 0) this.#position = { range, afterId: null };
    else {
      this.#position = null;
      this.#walks.shift();
    }
    return entries * cost;
  }

  #add({ ownerKey, what }: CounterKey, n: number): void {
    const key = `${ownerKey} ${what}`;
    this.#differences.set(key, (this.#differences.get(key) ?? 0) + n);
  }
}

function counterOf(key: string): CounterKey {
  const space = key.indexOf(" ");
  return { ownerKey: Number(key.slice(0, space)), what: key.slice(space + 1) };
}

export function correctionOf({ ownerKey, what, difference }: Difference): CounterCorrection {
  if (what === "unleased") return { counter: `unleased of ${encodeId("ep", ownerKey)}`, accountId: null, difference };
  return { counter: what, accountId: ownerKey === 0 ? null : encodeId("acc", ownerKey), difference };
}
