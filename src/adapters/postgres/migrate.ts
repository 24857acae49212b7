import { pendingMigrations, readMigrations } from "../sql/migrations.ts";
import type { Migration } from "../sql/migrations.ts";
import { connectClient } from "./connection/session.ts";
import { refuseUnsuitable } from "./connection/suitability.ts";
import { alignFeed } from "./connection/feed-epochs.ts";
import type pg from "pg";

const folder = new URL("./migrations/", import.meta.url);
/** Advisory lock of migrations; an arbitrary number. */
const lockKey = 7_464_622_225;

/**
 * Applies the pending migrations, each in its own transaction under a lock, so that several instances may start at once.
 * Resolves with the number of migrations applied. Rejects with `StartupError` for a database of a newer program, or of
 * migrations with other contents.
 *
 * Instances of the previous version run beside a migration, so a migration only adds (tables, indexes, columns that are
 * null or have a default) and never renames, narrows or drops what that version reads or writes. The following version
 * drops what is unused. Building an index blocks the writers of its table, so indexes on `deliveries` and `events` are rare
 * and announced with the release.
 */
export async function migrate(connectionString: string, known = readMigrations(folder)): Promise<number> {
  const client = await connectClient(connectionString, "ringback migrate");
  try {
    await refuseUnsuitable(client, connectionString);
    let applied = 0;
    while (await applyNext(client, known)) applied += 1;
    return applied;
  } finally {
    await client.end();
  }
}

/** Applies one migration and returns true, or returns false if none is pending. */
async function applyNext(client: pg.Client, known: readonly Migration[]): Promise<boolean> {
  await client.query("begin");
  try {
    await client.query("select pg_advisory_xact_lock($1)", [lockKey]);
    await client.query(
      "create table if not exists schema_migrations (number integer primary key, name text not null, checksum text not null)",
    );
    const { rows: applied } = await client.query<{ name: string; checksum: string }>(
      "select name, checksum from schema_migrations order by number",
    );
    const [next] = pendingMigrations(applied, known);
    if (next === undefined) await client.query(alignFeed);
    else {
      const { name, sql, checksum } = next;
      await client.query(sql);
      await client.query("insert into schema_migrations (number, name, checksum) values ($1, $2, $3)", [
        applied.length + 1,
        name,
        checksum,
      ]);
    }
    await client.query("commit");
    return next !== undefined;
  } catch (error) {
    await client.query("rollback").catch(() => undefined);
    throw error;
  }
}
