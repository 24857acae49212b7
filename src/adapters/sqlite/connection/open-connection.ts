import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StartupError } from "../../../domain/errors.ts";
import { messageOf } from "../../../domain/error-text.ts";
import { knownMigrations, migrate, readPending } from "../migrate.ts";
import { isServerRunning, takeServerLock } from "./server-lock.ts";

/**
 * Role of a connection. Only a `server` leases calls and deliveries. `beside` is for administration, also while a server
 * runs on the same database.
 */
export type ConnectionRole = "server" | "beside";

export type OpenConnection = {
  readonly connection: DatabaseSync;
  readonly lock: DatabaseSync | null;
  /** Number of migrations applied by opening. */
  readonly migrations: number;
};

/**
 * Length of the write-ahead log, 32 MiB, at which the server makes a checkpoint itself. The checkpointer copies the log
 * concurrently, but the log restarts only if a commit finds it copied completely. Constant load may prevent that.
 */
export const longestLogPages = 8192;
/** Size of the file, 64 MiB, to which a log that starts over is truncated. */
export const keptLogBytes = 64 * 1024 * 1024;
/** Wait for the write lock. A connection beside a busy server needs a gap between its commits. */
const busyTimeoutMs = { server: 5000, beside: 30_000 };

/**
 * Opens the database and creates it if there is none: the folder, the lock of a server, the settings for durability
 * (asserted), the schema of `knownMigrations`. Throws a `StartupError` of one line for anything that the operator must change.
 */
export function openConnection(path: string, role: ConnectionRole = "server", migrations = knownMigrations): OpenConnection {
  const inMemory = path === ":memory:";
  if (!inMemory) ensureFolderOf(path);
  const lock = inMemory || role === "beside" ? null : takeServerLock(path);
  try {
    if (!inMemory) ensureFile(path);
    const connection = new DatabaseSync(path, { timeout: busyTimeoutMs[role] });
    configure(connection, inMemory);
    if (role === "server") connection.exec(`pragma wal_autocheckpoint = ${longestLogPages}`);
    if (role === "beside") refuseUnderOlderServer(connection, path, migrations);
    const applied = migrate(connection, migrations);
    // A read-only file opens without an error; only this statement fails.
    connection.exec("delete from schema_migrations where number < 0");
    return { connection, lock, migrations: applied };
  } catch (error) {
    lock?.close();
    throw error instanceof StartupError
      ? error
      : new StartupError(`the database ${path} cannot be used: ${messageOf(error)}`, { cause: error });
  }
}

/** Creates the folder of the database, readable by its owner alone, if it does not exist. */
export function ensureFolderOf(path: string): void {
  const folder = dirname(resolve(path));
  try {
    createFolder(folder);
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    const isFile = existsSync(folder) && !statSync(folder).isDirectory();
    const remedy = folderRemedy(isFile ? "ENOTDIR" : (error as NodeJS.ErrnoException).code, folder, process.getuid?.());
    throw new StartupError(`the data folder ${folder} cannot be written: ${messageOf(error)}${remedy}`, { cause: error });
  }
}

/** Returns what the operator can do about a folder that cannot be written; "" if the error says it. */
export function folderRemedy(code: string | undefined, folder: string, userId: number | undefined): string {
  switch (code) {
    case "EACCES":
    case "EPERM":
      return userId === undefined ? "" : `: let user ${userId} write there, as with \`chown ${userId} ${folder}\``;
    case "EROFS":
      return ": it is on a read-only file system, so name another one";
    case "ENOTDIR":
      return ": it is not a folder, so name another one";
    default:
      return "";
  }
}

/**
 * Creates the file, readable by its owner alone because it holds metadata and addresses unencrypted. SQLite gives its
 * companion files the same mode. An existing file is not opened, because closing it would drop the locks of another
 * connection of this process (POSIX).
 */
function ensureFile(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** Creates a folder with its parents. Node's own `recursive` never returns if the file system keeps answering ENOENT, as in /proc. */
function createFolder(folder: string): void {
  const parent = dirname(folder);
  if (!existsSync(parent) && parent !== folder) createFolder(parent);
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
}

/** Refuses to change the schema under a running server that supports only the previous schema. */
function refuseUnderOlderServer(connection: DatabaseSync, path: string, migrations: typeof knownMigrations): void {
  const { applied, pending } = readPending(connection, migrations);
  if (applied > 0 && pending.length > 0 && isServerRunning(path))
    throw new StartupError(
      `the server on ${path} is of an older version: stop it (if it is only just starting, wait for it) and try again`,
    );
}

function configure(connection: DatabaseSync, inMemory: boolean): void {
  connection.exec(
    "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; pragma temp_store = memory; pragma cache_size = -32768",
  );
  connection.exec(`pragma journal_size_limit = ${keptLogBytes}`);
  const synchronous = connection.prepare("pragma synchronous").get()?.["synchronous"];
  const journalMode = connection.prepare("pragma journal_mode").get()?.["journal_mode"];
  if (synchronous !== 2 || (!inMemory && journalMode !== "wal"))
    throw new StartupError(`the database cannot be made durable (journal_mode ${String(journalMode)}, synchronous ${String(synchronous)})`);
}
