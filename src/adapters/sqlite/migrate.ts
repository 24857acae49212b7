import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { StartupError } from "../../domain/errors.ts";

const folder = new URL("./migrations/", import.meta.url);

/**
 * Migrates the schema to this program's version, forward only and in one transaction. Returns the number of applied
 * migrations. Throws `StartupError` for a database of a newer program or of migrations with another text. Safe to run in
 * several processes at once: all but the first to get the write lock find nothing pending.
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

/** Counts the migrations that the database has and lacks. An empty database has none and lacks all. */
export function pendingMigrations(db: DatabaseSync): { readonly applied: number; readonly pending: number } {
  const exists = db.prepare("select 1 from sqlite_schema where name = 'schema_migrations'").get() !== undefined;
  const applied = exists ? db.prepare("select number, name, checksum from schema_migrations order by number").all() : [];
  const known = readMigrations();
  const newest = applied.at(-1);
  if (applied.length > known.length)
    throw new StartupError(
      `the database is newer than this program (it has migration ${String(newest?.["name"])}): start the newer version`,
    );
  for (const [index, row] of applied.entries()) {
    const migration = known[index];
    if (row["name"] !== migration?.name || row["checksum"] !== migration?.checksum)
      throw new StartupError(
        `migration ${String(migration?.name)} of the database differs from this program's: start the version that applied it`,
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
