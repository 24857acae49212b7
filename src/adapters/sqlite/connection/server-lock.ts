import { existsSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StartupError } from "../../../domain/errors.ts";
import { messageOf } from "../../../domain/error-text.ts";
import { busyCode, resultCodeOf } from "./result-code.ts";

/** Longer than `isServerRunning` holds the lock, and too short to wait for another server to stop. */
const lockTimeoutMs = 250;

/**
 * Holds a side database exclusively while the server runs. A second server is refused at once, and a `kill -9` frees the
 * lock. The lock excludes no reader, administration or backup of the real database.
 */
export function takeServerLock(path: string): DatabaseSync {
  const lockPath = lockPathOf(path);
  let lock: DatabaseSync | null = null;
  try {
    lock = new DatabaseSync(lockPath, { timeout: lockTimeoutMs });
    lock.exec("begin exclusive");
    // The mark is of a server before.
    rmSync(markPathOf(path), { force: true });
    return lock;
  } catch (error) {
    lock?.close();
    const line = isBusy(error)
      ? `another server is using the database ${path}: stop it first`
      : `the lock ${lockPath} cannot be taken: ${messageOf(error)}`;
    throw new StartupError(line, { cause: error });
  }
}

/**
 * Marks the lock that this server holds: the server is stopping. The mark is a file, because the lock itself cannot be read.
 * Without it, for example on a full disk, the next start is refused instead of waiting.
 */
export function markStopping(path: string): void {
  try {
    writeFileSync(markPathOf(path), "", { mode: 0o600 });
  } catch {
    // The stop goes on.
  }
}

/** Returns whether the lock is held by a server that is stopping. */
export function isServerStopping(path: string): boolean {
  return existsSync(markPathOf(path)) && isServerRunning(path);
}

/** Returns whether a server runs on the database at this moment. */
export function isServerRunning(path: string): boolean {
  const lockPath = lockPathOf(path);
  if (!existsSync(lockPath)) return false;
  const lock = new DatabaseSync(lockPath, { timeout: 0 });
  try {
    lock.exec("begin; select count(*) from sqlite_schema; rollback");
    return false;
  } catch (error) {
    if (isBusy(error)) return true;
    throw error;
  } finally {
    lock.close();
  }
}

export function lockPathOf(path: string): string {
  const name = basename(path) === "ringback.db" ? "ringback.lock" : `${basename(path)}.lock`;
  return join(dirname(resolve(path)), name);
}

function markPathOf(path: string): string {
  return `${lockPathOf(path)}.stopping`;
}

function isBusy(error: unknown): boolean {
  return resultCodeOf(error) === busyCode;
}
