import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { StartRefused } from "../../domain/errors.ts";

const folder = new URL("./migrations/", import.meta.url);

/**
 * Brings the schema up to this program's, forward only, each migration in a transaction of its own. A database that was
 * written by a newer program, or by migrations that read differently, is refused rather than guessed at.
 */
export function migrate(db: DatabaseSync): void {
  db.exec("create table if not exists schema_migrations (number integer primary key, name text not null, checksum text not null) strict");
  const applied = db.prepare("select number, name, checksum from schema_migrations order by number").all();
  const known = readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .toSorted();
  const newest = applied.at(-1);
  if (applied.length > known.length)
    throw new StartRefused(
      `the database is newer than this program (it has migration ${String(newest?.["name"])}): start the newer version`,
    );
  for (const [index, name] of known.entries()) {
    const sql = readFileSync(new URL(name, folder), "utf8");
    const checksum = createHash("sha256").update(sql).digest("hex");
    const before = applied[index];
    if (before !== undefined) {
      if (before["name"] !== name || before["checksum"] !== checksum)
        throw new StartRefused(`the database was made by another migration ${name} than this program's: start the version that made it`);
      continue;
    }
    db.exec("begin immediate");
    try {
      db.exec(sql);
      db.prepare("insert into schema_migrations (number, name, checksum) values (?, ?, ?)").run(index + 1, name, checksum);
      db.exec("commit");
    } catch (error) {
      db.exec("rollback");
      throw error;
    }
  }
}
