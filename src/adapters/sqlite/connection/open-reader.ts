import { DatabaseSync } from "node:sqlite";
import { StartupError } from "../../../domain/errors.ts";
import { messageOf } from "../../../domain/error-text.ts";

/** Maximum wait for a lock. Readers of a write-ahead log wait only while another process repairs the log. */
const busyTimeoutMs = 5000;
/** Smaller than the writer's cache, because every foreign commit empties it. */
const cacheKiB = 16_384;

/**
 * Opens a second, read-only connection to a database that another connection of this process has open. Throws
 * `StartupError` unless the database has a write-ahead log, because reads would block commits without it.
 */
export function openReader(path: string): DatabaseSync {
  let connection: DatabaseSync | null = null;
  try {
    connection = new DatabaseSync(path, { readOnly: true, timeout: busyTimeoutMs });
    connection.exec(`pragma query_only = on; pragma temp_store = memory; pragma cache_size = -${cacheKiB}`);
    const journalMode = connection.prepare("pragma journal_mode").get()?.["journal_mode"];
    if (journalMode !== "wal") throw new Error(`its journal_mode is ${String(journalMode)}`);
    return connection;
  } catch (error) {
    connection?.close();
    throw new StartupError(`the database ${path} cannot be read beside its writer: ${messageOf(error)}`, { cause: error });
  }
}
