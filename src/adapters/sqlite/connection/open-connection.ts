import { messageOf } from "../../../domain/error-text.ts";
import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StartupError } from "../../../domain/errors.ts";
import { migrate, pendingMigrations } from "../migrate.ts";
import { isServerRunning, takeServerLock } from "./server-lock.ts";

/**
 * `server`: the only one that leases calls and deliveries. `beside`: for administration, also while a server runs on the
 * same database.
 */
export type ConnectionRole = "server" | "beside";

export type OpenConnection = {
  readonly connection: DatabaseSync;
  readonly lock: DatabaseSync | null;
  /** How many migrations it took to bring the schema up to date. */
  readonly migrations: number;
};

/**
 * Checkpoints are made beside a server (see checkpointer.ts), but the log starts over only when a commit finds all of it
 * copied. Under a load that leaves no such moment the server copies the rest itself at this length: 32 MiB.
 */
const longestLogPages = 8192;
/** A server gives way after so long; whoever stands beside a busy one waits for a gap between its commits. */
const busyTimeoutMs = { server: 5000, beside: 30_000 };

/**
 * Opens the database, and makes it where there is none: folder, lock of a server, durability set and asserted, schema.
 * Everything that cannot work until somebody changes something is a `StartupError` of one line.
 */
export function openConnection(path: string, role: ConnectionRole = "server"): OpenConnection {
  const inMemory = path === ":memory:";
  if (!inMemory) makeFolderOf(path);
  const lock = inMemory || role === "beside" ? null : takeServerLock(path);
  try {
    if (!inMemory) makeFile(path);
    const connection = new DatabaseSync(path, { timeout: busyTimeoutMs[role] });
    configure(connection, inMemory);
    if (role === "server") connection.exec(`pragma wal_autocheckpoint = ${longestLogPages}`);
    if (role === "beside") refuseUnderOlderServer(connection, path);
    const migrations = migrate(connection);
    // A file that can only be read opens without a word.
    connection.exec("delete from schema_migrations where number < 0");
    return { connection, lock, migrations };
  } catch (error) {
    lock?.close();
    throw error instanceof StartupError
      ? error
      : new StartupError(`the database ${path} cannot be used: ${messageOf(error)}`, { cause: error });
  }
}

/** The folder of the database, readable by nobody else, if it is not there yet. */
function makeFolderOf(path: string): void {
  const folder = dirname(resolve(path));
  try {
    makeFolder(folder);
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new StartupError(`the data folder ${folder} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Where there is none; SQLite gives its companions the same mode. Metadata and addresses lie in it as they are. One that
 * is there is not touched: closing it would take the locks of a connection of this process with it (POSIX).
 */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** With its parents. Node's own `recursive` never returns where the file system answers ENOENT for good, as in /proc. */
function makeFolder(folder: string): void {
  const parent = dirname(folder);
  if (!existsSync(parent) && parent !== folder) makeFolder(parent);
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
}

/** A schema is not changed under a server that knows the one before. */
function refuseUnderOlderServer(connection: DatabaseSync, path: string): void {
  const { applied, pending } = pendingMigrations(connection);
  if (applied > 0 && pending > 0 && isServerRunning(path))
    throw new StartupError(
      `the server on ${path} is of an older version: stop it (if it is only just starting, wait for it) and try again`,
    );
}

function configure(connection: DatabaseSync, inMemory: boolean): void {
  connection.exec(
    "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; pragma temp_store = memory; pragma cache_size = -65536",
  );
  const synchronous = connection.prepare("pragma synchronous").get()?.["synchronous"];
  const journalMode = connection.prepare("pragma journal_mode").get()?.["journal_mode"];
  if (synchronous !== 2 || (!inMemory && journalMode !== "wal"))
    throw new StartupError(`the database cannot be made durable (journal_mode ${String(journalMode)}, synchronous ${String(synchronous)})`);
}
