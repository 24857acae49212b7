import { messageOf } from "../../../domain/error-text.ts";
import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StartupError } from "../../../domain/errors.ts";

/** SQLITE_BUSY. */
const busyCode = 5;
/** Longer than somebody takes to look whether a server is running, too short for anybody to wait for another server. */
const lockTimeoutMs = 250;

/**
 * A side database held exclusively for the server's life: a second server is refused at once, a kill -9 frees it, and
 * whoever only reads, administers or backs up the real database is not kept out.
 */
export function takeServerLock(path: string): DatabaseSync {
  const lockPath = lockPathOf(path);
  let lock: DatabaseSync | null = null;
  try {
    lock = new DatabaseSync(lockPath, { timeout: lockTimeoutMs });
    lock.exec("begin exclusive");
    return lock;
  } catch (error) {
    lock?.close();
    const line = isBusy(error)
      ? `another server is using the database ${path}: stop it first`
      : `the lock ${lockPath} cannot be taken: ${messageOf(error)}`;
    throw new StartupError(line, { cause: error });
  }
}

/** Whether a server runs on the database at this moment. */
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

function lockPathOf(path: string): string {
  const name = basename(path) === "ringback.db" ? "ringback.lock" : `${basename(path)}.lock`;
  return join(dirname(resolve(path)), name);
}

function isBusy(error: unknown): boolean {
  return (error as { errcode?: unknown }).errcode === busyCode;
}
