import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { StartupError } from "../../domain/errors.ts";

export type Migration = { readonly name: string; readonly sql: string; readonly checksum: string };
type AppliedMigration = { readonly name: unknown; readonly checksum: unknown };

/** Reads the migrations of a folder, in their order. */
export function readMigrations(folder: URL): readonly Migration[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .toSorted()
    .map((name) => {
      const sql = readFileSync(new URL(name, folder), "utf8");
      return { name, sql, checksum: createHash("sha256").update(sql).digest("hex") };
    });
}

/**
 * Returns the migrations that a database lacks. `applied` are those it has, in their order. Throws `StartupError` for a
 * database of a newer program, or of migrations with another text.
 */
export function pendingMigrations(applied: readonly AppliedMigration[], known: readonly Migration[]): readonly Migration[] {
  for (const [index, { name, checksum }] of applied.slice(0, known.length).entries()) {
    const migration = known[index];
    if (name !== migration?.name || checksum !== migration?.checksum)
      throw new StartupError(
        `migration ${String(name)} of the database differs from that of this program (${String(migration?.name)}): start the version that created the database, or begin with an empty one`,
      );
  }
  if (applied.length > known.length)
    throw new StartupError(
      `the database is newer than this program (it has migration ${String(applied.at(-1)?.name)}): start the newer version`,
    );
  return known.slice(applied.length);
}
