import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { basename, dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Database } from "./connection/database.ts";
import { pendingMigrations } from "./migrate.ts";
import { readKeyIds } from "./keys/read-key-ids.ts";

/** `keyIds`: the encryption keys without which nothing sealed in the copy opens; empty for a schema older than this program's. */
export type Backup = { readonly bytes: number; readonly keyIds: readonly string[] };

const busyTimeoutMs = 30_000;

/**
 * A consistent copy as one file, readable by its owner alone, also while a server writes: VACUUM INTO reads one snapshot
 * (the backup API starts over at every foreign write). It has its name only when it is whole and on disk; broken off, a
 * file `.<name>.<random>` is left at most. Throws when the target is there already.
 */
export function backupDatabase(path: string, target: string): Backup {
  if (!existsSync(path)) throw new Error(`there is no database ${path}`);
  if (existsSync(target)) throw new Error(`${target} is there already`);
  const folder = dirname(resolve(target));
  const temporaryPath = join(folder, `.${basename(target)}.${randomUUID()}`);
  try {
    // SQLite takes an empty file as it is, with its mode.
    closeSync(openSync(temporaryPath, "wx", 0o600));
    const keyIds = copy(path, temporaryPath);
    sync(temporaryPath);
    renameSync(temporaryPath, target);
    sync(folder);
    return { bytes: statSync(target).size, keyIds };
  } catch (error) {
    rmSync(temporaryPath, { force: true });
    throw error;
  }
}

function copy(path: string, temporaryPath: string): readonly string[] {
  const connection = new DatabaseSync(path, { timeout: busyTimeoutMs });
  try {
    connection.prepare("vacuum into ?").run(temporaryPath);
    return pendingMigrations(connection).pending === 0 ? readKeyIds(new Database(connection, null)) : [];
  } finally {
    connection.close();
  }
}

function sync(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
