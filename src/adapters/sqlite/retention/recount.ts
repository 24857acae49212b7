import { DatabaseSync } from "node:sqlite";
import { watchStatuses } from "../../../domain/calls/watch.ts";
import { deliveryStatuses } from "../../../domain/deliveries/delivery.ts";
import { encodeId } from "../../../domain/ids.ts";
import type { CounterCorrection, CounterStore } from "../../../ports/stores/service-store.ts";
import { integer, integerOrNull, text } from "../../sql/rows.ts";
import type { UsageColumn } from "../connection/counters.ts";
import { Database } from "../connection/database.ts";

export const writes = { recountPortion };

/** Index entries that one call reads, which takes about 2 ms. */
const portionRows = 20_000;
const stepRows = 5000;
const busyTimeoutMs = 5000;

/** Recounts that have begun, by the database that they correct. */
const recounts = new WeakMap<Database, Recount>();

/**
 * Counts rows in one snapshot of a connection of its own, because between two portions commits change rows on both sides of
 * the position. The snapshot holds rows and counters of the same commit, so their difference is one of the counters alone,
 * and it may be added to them at any later time.
 */
function recountPortion(db: Database): Awaited<ReturnType<CounterStore["recountPortion"]>> {
  const recount = recounts.get(db) ?? Recount.begin(db);
  recounts.set(db, recount);
  const found = recount.advance(portionRows);
  if (found === null) return { done: false, corrections: [] };
  endRecount(db);
  for (const { accountKey, column, difference } of found)
    if (accountKey === null) db.run("update delivery_counts set n = n + ? where status = ?", difference, column);
    else db.run(`update account_usage set ${column} = ${column} + ? where account_id = ?`, difference, accountKey);
  return { done: true, corrections: found.map(correctionOf) };
}

/** Ends a recount that has begun, and its snapshot. */
export function endRecount(db: Database): void {
  recounts.get(db)?.end();
  recounts.delete(db);
}

type Difference = { readonly accountKey: number | null; readonly column: string; readonly difference: number };

class Recount {
  readonly #db: Database;
  readonly #owned: DatabaseSync | null;
  readonly #steps: Iterator<number, readonly Difference[]>;

  private constructor(db: Database, owned: DatabaseSync | null) {
    this.#db = db;
    this.#owned = owned;
    this.#steps = this.#count();
  }

  static begin(db: Database): Recount {
    const path = db.connection.location();
    if (path === null) {
      // A database in memory has one connection, so all of it is counted at once, after what this transaction has counted.
      db.counters.write(db);
      return new Recount(db, null);
    }
    const owned = new DatabaseSync(path, { readOnly: true, timeout: busyTimeoutMs });
    owned.exec("begin");
    return new Recount(new Database(owned, null), owned);
  }

  /** Reads about `rows` index entries. Returns the differences after the last one, `null` before. */
  advance(rows: number): readonly Difference[] | null {
    let left = this.#owned === null ? Infinity : rows;
    while (left > 0) {
      const step = this.#steps.next();
      if (step.done === true) return step.value;
      left -= step.value;
    }
    return null;
  }

  end(): void {
    this.#owned?.close();
  }

  *#count(): Generator<number, readonly Difference[]> {
    const usage = this.#db.all("select * from account_usage order by account_id");
    const deliveries = this.#db.all("select status, n from delivery_counts");
    const differences: Difference[] = [];
    const deliveriesByStatus = new Map<string, number>();
    for (const row of usage) {
      const accountKey = integer(row, "account_id");
      const compare = (column: UsageColumn, counted: number) => {
        const difference = counted - integer(row, column);
        if (difference !== 0) differences.push({ accountKey, column, difference });
      };
      compare("endpoints", yield* this.#countRange("endpoints", "account_id = ?1", [accountKey]));
      for (const status of watchStatuses)
        compare(status, yield* this.#countRange("watches", "account_id = ?1 and status = ?2", [accountKey, status]));
      for (const status of deliveryStatuses) {
        const counted = yield* this.#countRange("deliveries", "account_id = ?1 and status = ?2", [accountKey, status]);
        deliveriesByStatus.set(status, (deliveriesByStatus.get(status) ?? 0) + counted);
      }
    }
    for (const row of deliveries) {
      const column = text(row, "status");
      const difference = (deliveriesByStatus.get(column) ?? 0) - integer(row, "n");
      if (difference !== 0) differences.push({ accountKey: null, column, difference });
    }
    return differences;
  }

  /** Counts a range of an index that ends with the id. */
  *#countRange(table: string, range: string, values: readonly (number | string)[]): Generator<number, number> {
    let counted = 0;
    let last = -1;
    for (;;) {
      const row = this.#db.get(
        `select count(*) as n, max(id) as last from (
           select id from ${table} where ${range} and id > ?${values.length + 1} order by id limit ${stepRows})`,
        ...values,
        last,
      );
      const n = row === undefined ? 0 : integer(row, "n");
      counted += n;
      // A statement costs as much as about a hundred entries.
      yield n + 100;
      if (row === undefined || n < stepRows) return counted;
      last = integerOrNull(row, "last") ?? last;
    }
  }
}

function correctionOf({ accountKey, column, difference }: Difference): CounterCorrection {
  if (accountKey === null) return { counter: `deliveries ${column}`, accountId: null, difference };
  return { counter: column === "endpoints" ? column : `watches ${column}`, accountId: encodeId("acc", accountKey), difference };
}
