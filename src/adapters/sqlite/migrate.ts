import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { StartupError } from "../../domain/errors.ts";

const folder = new URL("./migrations/", import.meta.url);

/**
 * Brings the schema up to this program's, forward only and in one transaction, and says how many migrations were missing.
 * A database that was written by a newer program, or by migrations that read differently, is refused rather than guessed
 * at. Several may do this at once: who gets the write lock later finds it done.
 */
export function migrate(db: DatabaseSync): number {
  if (pendingMigrations(db).pending === 0) return 0;
  db.exec("begin immediate");
  try {
    db.exec("create table if not exists schema_migrations (number integer primary key, name text not null, checksum text not null) strict");
    const { applied, pending } = pendingMigrations(db);
    for (const [index, { name, sql, checksum }] of readMigrations().slice(applied).entries()) {
      db.exec(sql);
      db.prepare("insert into schema_migrations (number, name, checksum) values (?, ?, ?)").run(applied + index + 1, name, checksum);
    }
    db.exec("commit");
    return pending;
  } catch (error) {
    db.exec("rollback");
    throw error;
  }
}

/** How many migrations the database has and lacks; both 0 applied and all pending for an empty one. */
export function pendingMigrations(db: DatabaseSync): { readonly applied: number; readonly pending: number } {
  const isThere = db.prepare("select 1 from sqlite_schema where name = 'schema_migrations'").get() !== undefined;
  const applied = isThere ? db.prepare("select number, name, checksum from schema_migrations order by number").all() : [];
  const known = readMigrations();
  const newest = applied.at(-1);
  if (applied.length > known.length)
    throw new StartupError(
      `the database is newer than this program (it has migration ${String(newest?.["name"])}): start the newer version`,
    );
  for (const [index, before] of applied.entries()) {
    const migration = known[index];
    if (before["name"] !== migration?.name || before["checksum"] !== migration?.checksum)
      throw new StartupError(
        `the database was made by another migration ${String(migration?.name)} than this program's: start the version that made it`,
      );
  }
  return { applied: applied.length, pending: known.length - applied.length };
}

function readMigrations(): readonly { readonly name: string; readonly sql: string; readonly checksum: string }[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .toSorted()
    .map((name) => {
      const sql = readFileSync(new URL(name, folder), "utf8");
      return { name, sql, checksum: createHash("sha256").update(sql).digest("hex") };
    });
}
