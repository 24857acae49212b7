import { randomBytes } from "node:crypto";
import pg from "pg";

/**
 * SQL query: server, database, timeline and start of the server. Another value means that the data may be those of an earlier
 * time: a restored database, a promoted replica, a snapshot of the disk.
 */
const originQuery = `
  select concat_ws('/', (select system_identifier from pg_control_system()),
    (select oid from pg_database where datname = current_database()),
    case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end,
    extract(epoch from pg_postmaster_start_time())) as origin`;
/** The same for services that lack the functions or do not allow them. A restored database has another oid or server start. */
const originQueryOfAll = `
  select concat_ws('/', (select oid from pg_database where datname = current_database()), extract(epoch from pg_postmaster_start_time())) as origin`;
/** SQLSTATEs of a function that is missing, not supported or not allowed. */
const notAvailable = new Set(["42501", "42883", "0A000"]);

const lock = "select pg_advisory_xact_lock(hashtext('ringback feed epochs'))";

/** SQL expression: the highest `feed_order` that the database has given to an event or epoch. */
const highestOrder = `greatest(
  (select max(feed_order) from (select feed_order from events order by position desc limit 10000) newest),
  (select max(feed_order) from feed_epochs), (select max(feed_order) from feed_starts), (select purged_to from feed_base))`;

/**
 * SQL statement that raises the base of `feed_order`. A database restored into another server meets that server's transaction
 * ids, which may be smaller than those of its events: new events would appear among old ones, or not for a long time.
 */
export const alignFeed = `
  update feed_base set base = base + behind.n
     from (select ${highestOrder} + 1 - ((select base from feed_base) + pg_snapshot_xmax(pg_current_snapshot())::text::bigint) as n) behind
     where behind.n > 0`;

/**
 * Places at which an epoch begins. At a start, other instances are writing: events that were shown before have lower orders than
 * this transaction. After a change of the origin no transaction of before is left, so the epoch begins behind the newest event
 * that is there, and cursors past that are of events that were lost.
 */
const firstOrderOf = {
  start: "(select base from feed_base) + pg_current_xact_id()::text::bigint",
  origin: `${highestOrder} + 1`,
};

const insertEpoch = (why: keyof typeof firstOrderOf) => `
  insert into feed_epochs (epoch, feed_order, first_position, origin, created_at)
  values ($1, ${firstOrderOf[why]}, 0, $2, (extract(epoch from clock_timestamp()) * 1000)::bigint)`;

/** Reads the origin of the database that the session is connected to. */
export async function readOrigin(client: pg.ClientBase, timeoutMs: number): Promise<string> {
  const bounded = { query_timeout: timeoutMs };
  const read = async (text: string): Promise<string> => {
    const { rows } = await client.query<{ origin: string }>({ text, ...bounded });
    return rows[0]?.origin ?? "";
  };
  try {
    return await read(originQuery);
  } catch (error) {
    if (error instanceof pg.DatabaseError && notAvailable.has(error.code ?? "")) return read(originQueryOfAll);
    throw error;
  }
}

/**
 * Begins an epoch of the feed: at every start, and if the origin of the database is another one than that of the current epoch.
 * The lock makes the places rise with the ids.
 */
export async function beginEpoch(client: pg.ClientBase, origin: string, why: keyof typeof firstOrderOf): Promise<void> {
  await client.query("begin");
  try {
    await client.query(lock);
    const { rows } = await client.query<{ origin: string | null }>("select origin from feed_epochs order by id desc limit 1");
    if (why === "start" || rows[0]?.origin !== origin) {
      await client.query(alignFeed);
      await client.query(insertEpoch(why), [randomBytes(8), origin]);
    }
    await client.query("commit");
  } catch (error) {
    await client.query("rollback").catch(() => undefined);
    throw error;
  }
}
