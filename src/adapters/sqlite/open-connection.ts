import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StartRefused } from "../../domain/errors.ts";
import { migrate } from "./migrate.ts";

/** SQLITE_BUSY. */
const busyCode = 5;

export type OpenConnection = { readonly connection: DatabaseSync; readonly lock: DatabaseSync | null };

/**
 * Opens the database for a server: makes the folder, takes the lock, sets and asserts durability, migrates. Everything
 * that cannot work until somebody changes something is a `StartRefused` of one line.
 */
export function openConnection(path: string): OpenConnection {
  const inMemory = path === ":memory:";
  const lock = inMemory ? null : takeLock(path);
  try {
    const connection = new DatabaseSync(path, { timeout: 5000 });
    configure(connection, inMemory);
    migrate(connection);
    // A file that can only be read opens without a word.
    connection.exec("delete from schema_migrations where number < 0");
    return { connection, lock };
  } catch (error) {
    lock?.close();
    throw error instanceof StartRefused
      ? error
      : new StartRefused(`the database ${path} cannot be used: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * A side database held exclusively for the server's life: a second server is refused at once, a kill -9 frees it, and
 * whoever only reads or backs up the real database is not kept out.
 */
function takeLock(path: string): DatabaseSync {
  const folder = dirname(resolve(path));
  try {
    makeFolder(folder);
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new StartRefused(`the data folder ${folder} cannot be written: ${messageOf(error)}`, { cause: error });
  }
  const name = basename(path) === "ringback.db" ? "ringback.lock" : `${basename(path)}.lock`;
  let lock: DatabaseSync | null = null;
  try {
    lock = new DatabaseSync(join(folder, name), { timeout: 0 });
    lock.exec("begin exclusive");
    return lock;
  } catch (error) {
    lock?.close();
    const held = (error as { errcode?: unknown }).errcode === busyCode;
    const line = held
      ? `another server is using the database ${path}: stop it first`
      : `the lock ${join(folder, name)} cannot be taken: ${messageOf(error)}`;
    throw new StartRefused(line, { cause: error });
  }
}

/** With its parents. Node's own `recursive` never returns where the file system answers ENOENT for good, as in /proc. */
function makeFolder(folder: string): void {
  const parent = dirname(folder);
  if (!existsSync(parent) && parent !== folder) makeFolder(parent);
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
}

function configure(connection: DatabaseSync, inMemory: boolean): void {
  connection.exec(
    "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; pragma temp_store = memory; pragma cache_size = -65536",
  );
  const synchronous = connection.prepare("pragma synchronous").get()?.["synchronous"];
  const journalMode = connection.prepare("pragma journal_mode").get()?.["journal_mode"];
  if (synchronous !== 2 || (!inMemory && journalMode !== "wal"))
    throw new StartRefused(`the database cannot be made durable (journal_mode ${String(journalMode)}, synchronous ${String(synchronous)})`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
