import type { DatabaseSync } from "node:sqlite";
import { pendingMigrations, readMigrations } from "../sql/migrations.ts";
import type { Migration } from "../sql/migrations.ts";

/** Migrations of this program, in their order. */
export const knownMigrations: readonly Migration[] = readMigrations(new URL("./migrations/", import.meta.url));

/**
 * Migrates the schema to this program's version, forward only and in one transaction. Returns the number of applied
 * migrations. Throws `StartupError` for a database of a newer program or of migrations with another text. Safe to run in
 * several processes at once: all but the first to get the write lock find nothing pending.
 */
export function migrate(db: DatabaseSync, migrations = knownMigrations): number {
  if (readPending(db, migrations).pending.length === 0) return 0;
  db.exec("begin immediate");
  try {
    db.exec("create table if not exists schema_migrations (number integer primary key, name text not null, checksum text not null) strict");
    const { applied, pending } = readPending(db, migrations);
    for (const [index, { name, sql, checksum }] of pending.entries()) {
      db.exec(sql);
      db.prepare("insert into schema_migrations (number, name, checksum) values (?, ?, ?)").run(applied + index + 1, name, checksum);
    }
    db.exec("commit");
    return pending.length;
  } catch (error) {
    db.exec("rollback");
    throw error;
  }
}

/** Returns the number of migrations that the database has, and those that it lacks. An empty database lacks all. */
export function readPending(
  db: DatabaseSync,
  migrations = knownMigrations,
): { readonly applied: number; readonly pending: readonly Migration[] } {
  const exists = db.prepare("select 1 from sqlite_schema where name = 'schema_migrations'").get() !== undefined;
  const applied = exists ? db.prepare("select number, name, checksum from schema_migrations order by number").all() : [];
  const pending = pendingMigrations(
    applied.map((row) => ({ name: row["name"], checksum: row["checksum"] })),
    migrations,
  );
  return { applied: applied.length, pending };
}
