import type pg from "pg";
import type { CounterStore } from "../../../ports/stores/service-store.ts";
import { correctionOf, Recount, walkOfStoredAnswers } from "../../sql/retention/recount.ts";
import type { Difference, StoredCounters } from "../../sql/retention/recount.ts";
import type { SqlQueries, SqlValue } from "../../sql/queries.ts";
import type { Row } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";
import { toStoreError } from "../connection/failures.ts";
import { planSettings, statementOf, timeoutBy } from "../connection/session.ts";

export const composites = { recountPortion };

/** Rows that one call reads, which takes about 20 ms. */
const portionRows = 20_000;
/** Time without a portion after which the server ends the snapshot. The engine pauses for some seconds between its rounds. */
const snapshotIdleMs = 60_000;

const portionTimeoutMs = 9000;

export const storedCounters: StoredCounters = {
  select: `select owner_id, what, sum(n)::bigint as n
    from (select owner_id, what, n from counts union all select owner_id, what, n from count_changes) c
    group by owner_id, what`,
  walks: [walkOfStoredAnswers({ takesRoom: "not own_room", bytes: "octet_length(sealed)" })],
};

/** Recounts that have begun, by the database that they correct. */
const begun = new WeakMap<Database, Snapshot>();

/**
 * Counts in a snapshot on a connection of its own, which holds no row lock and no transaction id, so that it delays neither
 * commits nor the feed. The advisory lock is held as long as the snapshot: two instances would correct a difference twice.
 */
async function recountPortion(db: Database): ReturnType<CounterStore["recountPortion"]> {
  let current = begun.get(db);
  if (current === undefined) {
    const opened = await Snapshot.open(db);
    // Another instance is counting.
    if (opened === null) return { done: true, corrections: [] };
    begun.set(db, (current = opened));
  }
  try {
    const differences = await current.recount.advance(current, portionRows);
    if (differences === null) return { done: false, corrections: [] };
    await correct(db, differences);
    await end(db, current);
    return { done: true, corrections: differences.map(correctionOf) };
  } catch (error) {
    await end(db, current);
    throw toStoreError(error);
  }
}

async function correct(db: Database, differences: readonly Difference[]): Promise<void> {
  if (differences.length === 0) return;
  await db.run(
    "insert into count_changes (owner_id, what, n) select * from unnest($1::bigint[], $2::text[], $3::bigint[])",
    differences.map(({ ownerKey }) => ownerKey),
    differences.map(({ what }) => what),
    differences.map(({ difference }) => difference),
  );
}

async function end(db: Database, snapshot: Snapshot): Promise<void> {
  begun.delete(db);
  await db.closeBeside(snapshot.client);
}

/** A transaction that reads one state of the database. */
class Snapshot implements SqlQueries {
  readonly recount = new Recount(storedCounters);
  readonly client: pg.Client;

  /** Returns `null` if another instance has one. */
  static async open(db: Database): Promise<Snapshot | null> {
    const client = await db.connectBeside("ringback recount");
    try {
      await client.query(`${planSettings}; set idle_in_transaction_session_timeout = ${snapshotIdleMs}`);
      // Before the snapshot, which then holds what the last recount corrected.
      const { rows } = await client.query<{ taken: boolean }>("select pg_try_advisory_lock(hashtext('ringback recount')) as taken");
      await client.query("begin isolation level repeatable read read only");
      if (rows[0]?.taken === true) return new Snapshot(client);
    } catch (error) {
      await db.closeBeside(client);
      throw toStoreError(error);
    }
    await db.closeBeside(client);
    return null;
  }

  private constructor(client: pg.Client) {
    this.client = client;
  }

  async all(sql: string, ...values: readonly SqlValue[]): Promise<Row[]> {
    return (await this.client.query<Row>({ ...statementOf(sql, values), ...timeoutBy(performance.now() + portionTimeoutMs) })).rows;
  }

  async get(sql: string, ...values: readonly SqlValue[]): Promise<Row | undefined> {
    return (await this.all(sql, ...values))[0];
  }

  run(): never {
    throw new Error("a snapshot only reads");
  }
}
