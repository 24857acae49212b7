import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { StartupError } from "../../domain/errors.ts";
import { toClientUrl } from "./connection/connection-string.ts";
import { alignFeed } from "./reading/feed-horizon.ts";
import pg from "pg";

const folder = new URL("./migrations/", import.meta.url);
/** Any number of ours: who holds it migrates. */
const lockKey = 7_464_622_225;

/**
 * Brings the schema up to this program's, forward only, each migration in a transaction of its own under a lock, so that
 * several may start at once. A database that was written by a newer program, or by migrations that read differently, is
 * refused rather than guessed at. Resolves with how many of them it took.
 *
 * The rule for a migration, because instances of the version before go on running beside it: it adds (tables, indexes,
 * columns that are null or have a default) and never renames, narrows or drops what that version reads or writes; what
 * nobody needs any more is dropped by the version after. An index of a table that is written to makes its writers wait
 * while it is built: of `deliveries` and `events` seldom, and said in the release.
 */
export async function migrate(connectionString: string): Promise<number> {
  const client = new pg.Client({
    connectionString: toClientUrl(connectionString),
    application_name: "ringback migrate",
    connectionTimeoutMillis: 5000,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
  } catch (error) {
    // One that was refused halfway keeps its socket; nobody waits for the goodbye.
    void client.end();
    throw error;
  }
  try {
    const known = readdirSync(folder)
      .filter((name) => name.endsWith(".sql"))
      .toSorted();
    let applied = 0;
    while (await applyNext(client, known)) applied += 1;
    return applied;
  } finally {
    await client.end();
  }
}

/** False: nothing is left to do. */
async function applyNext(client: pg.Client, known: readonly string[]): Promise<boolean> {
  await client.query("begin");
  try {
    await client.query("select pg_advisory_xact_lock($1)", [lockKey]);
    await client.query(
      "create table if not exists schema_migrations (number integer primary key, name text not null, checksum text not null)",
    );
    const applied = (await client.query<Applied>("select name, checksum from schema_migrations order by number")).rows;
    const number = nextOf(applied, known);
    const name = known[number];
    if (name === undefined) await client.query(alignFeed);
    else {
      const { sql, checksum } = read(name);
      await client.query(sql);
      await client.query("insert into schema_migrations (number, name, checksum) values ($1, $2, $3)", [number + 1, name, checksum]);
    }
    await client.query("commit");
    return name !== undefined;
  } catch (error) {
    await client.query("rollback").catch(() => undefined);
    throw error;
  }
}

type Applied = { readonly name: string; readonly checksum: string };

function nextOf(applied: readonly Applied[], known: readonly string[]): number {
  if (applied.length > known.length)
    throw new StartupError(
      `the database is newer than this program (it has migration ${applied.at(-1)?.name ?? ""}): start the newer version`,
    );
  for (const [index, before] of applied.entries()) {
    const name = known[index] ?? "";
    if (before.name !== name || before.checksum !== read(name).checksum)
      throw new StartupError(`the database was made by another migration ${name} than this program's: start the version that made it`);
  }
  return applied.length;
}

function read(name: string): { readonly sql: string; readonly checksum: string } {
  const sql = readFileSync(new URL(name, folder), "utf8");
  return { sql, checksum: createHash("sha256").update(sql).digest("hex") };
}
