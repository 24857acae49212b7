import { DatabaseSync } from "node:sqlite";
import { watchStatuses } from "../../../domain/calls/watch.ts";
import type { CounterStore } from "../../../ports/stores/service-store.ts";
import { correctionOf, Recount, walkOfStoredAnswers } from "../../sql/retention/recount.ts";
import type { Difference, StoredCounters } from "../../sql/retention/recount.ts";
import { integer } from "../../sql/rows.ts";
import { Database } from "../connection/database.ts";

export const writes = { recountPortion };

/** Index entries that one call reads, which takes about 2 ms. */
const portionRows = 20_000;
const busyTimeoutMs = 5000;

const usageCounters = [
  ["endpoints", "endpoints"],
  ["stored bytes", "stored_bytes"],
  ...watchStatuses.map((status) => [`watches ${status}`, status]),
] as const;
const storedCounters: StoredCounters = {
  select: [
    ...usageCounters.map(([what, column]) => `select account_id as owner_id, '${what}' as what, ${column} as n from account_usage`),
    "select 0, 'deliveries ' || status, n from delivery_counts",
  ].join(" union all "),
  walks: [
    {
      table: "endpoints",
      columns: [],
      adds: "-unleased",
      countersOf: (row) => (integer(row, "n") === 0 ? [] : [{ ownerKey: integer(row, "id"), what: "unleased" }]),
    },
    walkOfStoredAnswers({ takesRoom: "own_room = 0", bytes: "length(sealed)" }),
  ],
};

/** A recount that has begun. Its snapshot is a transaction of a connection of its own, so that it keeps no commit waiting. */
type Begun = { readonly recount: Recount; readonly db: Database; end(): void };

/** Recounts that have begun, by the database that they correct. */
const begun = new WeakMap<Database, Begun>();

async function recountPortion(db: Database): ReturnType<CounterStore["recountPortion"]> {
  const current = begun.get(db) ?? begin(db);
  begun.set(db, current);
  let differences;
  do differences = await current.recount.advance(current.db, portionRows);
  while (differences === null && current.db === db);
  if (differences === null) return { done: false, corrections: [] };
  endRecount(db);
  for (const difference of differences) correct(db, difference);
  return { done: true, corrections: differences.map(correctionOf) };
}

/** Ends a recount that has begun, and its snapshot. */
export function endRecount(db: Database): void {
  begun.get(db)?.end();
  begun.delete(db);
}

function begin(db: Database): Begun {
  const recount = new Recount(storedCounters);
  const path = db.connection.location();
  if (path === null) {
    // A database in memory has one connection, so all of it is counted at once, after what this transaction has counted.
    db.counters.write(db);
    return { recount, db, end: () => undefined };
  }
  const connection = new DatabaseSync(path, { readOnly: true, timeout: busyTimeoutMs });
  connection.exec("begin");
  return { recount, db: new Database(connection, null), end: () => connection.close() };
}

function correct(db: Database, { ownerKey, what, difference }: Difference): void {
  if (what === "unleased") db.run("update endpoints set unleased = unleased + ? where id = ?", difference, ownerKey);
  else if (ownerKey === 0) db.run("update delivery_counts set n = n + ? where status = ?", difference, what.slice("deliveries ".length));
  else {
    const column = usageCounters.find(([name]) => name === what)?.[1] ?? "";
    db.run(`update account_usage set ${column} = ${column} + ? where account_id = ?`, difference, ownerKey);
  }
}
