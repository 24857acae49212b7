import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { basename, dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { Database } from "./connection/database.ts";
import { readPending } from "./migrate.ts";
import { readKeyIds } from "../sql/keys/sealed-values.ts";

/** Finished backup. `keyIds` are the encryption keys that open the sealed values of the copy; empty for a schema older than this program's. */
export type Backup = { readonly bytes: number; readonly keyIds: readonly string[] };

/** Called at the start and while the copy is written. `most` is the size of the database, which the copy reaches if nothing in it is free. */
export type OnCopied = (progress: { readonly bytes: number; readonly most: number }) => void;

const busyTimeoutMs = 30_000;
const lookEveryMs = 100;

/**
 * Copies the database into one file, readable by its owner alone, also while a server writes. VACUUM INTO reads one
 * snapshot, whereas the backup API starts over at every foreign write. The file gets its name once it is complete and on
 * disk; an interrupted backup leaves at most a file `.<name>.<random>`. Rejects if the target exists.
 */
export async function backupDatabase(path: string, target: string, onCopied?: OnCopied): Promise<Backup> {
  if (!existsSync(path)) throw new Error(`there is no database ${path}`);
  if (existsSync(target)) throw new Error(`${target} already exists`);
  const folder = dirname(resolve(target));
  const temporaryPath = join(folder, `.${basename(target)}.${randomUUID()}`);
  try {
    // SQLite writes into an empty file and keeps its mode.
    closeSync(openSync(temporaryPath, "wx", 0o600));
    const keyIds = await copy(path, temporaryPath, onCopied);
    sync(temporaryPath);
    renameSync(temporaryPath, target);
    sync(folder);
    return { bytes: statSync(target).size, keyIds };
  } catch (error) {
    rmSync(temporaryPath, { force: true });
    throw error;
  }
}

async function copy(path: string, temporaryPath: string, onCopied: OnCopied | undefined): Promise<readonly string[]> {
  onCopied?.(sizesOf(path, temporaryPath));
  const looking = onCopied === undefined ? undefined : setInterval(() => onCopied(sizesOf(path, temporaryPath)), lookEveryMs);
  try {
    await vacuumInto(path, temporaryPath);
  } finally {
    clearInterval(looking);
  }
  const connection = new DatabaseSync(path, { timeout: busyTimeoutMs });
  try {
    return readPending(connection).pending.length === 0 ? await readKeyIds(new Database(connection, null)) : [];
  } finally {
    connection.close();
  }
}

/** Runs the statement in a thread of its own. Rejects with its error. */
async function vacuumInto(path: string, target: string): Promise<void> {
  const worker = new Worker(new URL("./vacuum-worker.mjs", import.meta.url), { workerData: { path, target, busyTimeoutMs }, execArgv: [] });
  await once(worker, "message");
}

const sizesOf = (path: string, target: string) => ({ bytes: statSync(target).size, most: statSync(path).size });

function sync(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
