import { parentPort, workerData } from "node:worker_threads";
import type { DatabaseSync } from "node:sqlite";
import { RingbackError } from "../../domain/errors.ts";
import type { DeliveryPolicy } from "../../domain/retry-policy.ts";
import { Database } from "./database.ts";
import { openConnection } from "./open-connection.ts";
import type { ConnectionRole } from "./open-connection.ts";
import { isRead, operations } from "./operations.ts";
import { noteServerKeys } from "./operations/note-server-keys.ts";
import type { OperationName } from "./operations.ts";
import { clearLeases } from "./tables/due.ts";

export type WorkerOptions = { readonly path: string; readonly policy: DeliveryPolicy | null; readonly role: ConnectionRole };
export type Request = { readonly name: OperationName; readonly args: readonly unknown[] };
export type Answer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: string; readonly message: string };
export type ToWorker = { readonly kind: "group"; readonly requests: readonly Request[] } | { readonly kind: "close" };
export type FromWorker =
  | { readonly kind: "ready"; readonly migrations: number }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "answers"; readonly answers: readonly Answer[]; /** null: nothing was written. */ readonly commitMs: number | null }
  /** Nothing can be trusted any more; what was in the group is not on disk as far as anybody may say. */
  | { readonly kind: "fatal"; readonly message: string }
  | { readonly kind: "closed" };

/** The database itself failed: disk full, I/O error, corruption. SQLite's primary result codes. */
const fatalCodes = new Set([8, 10, 11, 13, 14, 26]);

/** Another process (the command line, a backup) wrote for longer than the timeout. */
const busyCode = 5;
const busy: Answer = { ok: false, code: "store-unavailable", message: "another process is writing to the database" };

if (parentPort !== null) serve(parentPort, workerData as WorkerOptions);

function serve(port: NonNullable<typeof parentPort>, options: WorkerOptions): void {
  const post = (message: FromWorker) => port.postMessage(message);
  try {
    const { connection, lock, migrations } = openConnection(options.path, options.role);
    const db = new Database(connection, options.policy);
    if (options.role === "server") clearLastServer(db);
    port.on("message", (message: ToWorker) => {
      if (message.kind === "group") {
        post(runGroup(db, message.requests));
        return;
      }
      connection.close();
      lock?.close();
      post({ kind: "closed" });
      port.close();
    });
    post({ kind: "ready", migrations });
  } catch (error) {
    post({ kind: "refused", message: error instanceof Error ? error.message : String(error) });
    port.close();
  }
}

/** What the server before held ends with it; which keys this one has is not known yet. */
function clearLastServer(db: Database): void {
  clearLeases(db);
  noteServerKeys(db, []);
}

/**
 * One transaction for the whole group; each operation that writes has a savepoint, so that what fails fails alone.
 * Nothing is answered before the commit returned: an answer means that it is on disk.
 */
function runGroup(db: Database, requests: readonly Request[]): FromWorker {
  const { connection } = db;
  try {
    const writes = !requests.every((request) => isRead(request.name));
    connection.exec(writes ? "begin immediate" : "begin");
    const answers = requests.map((request) => runOne(db, request));
    const startedMs = performance.now();
    connection.exec("commit");
    return { kind: "answers", answers, commitMs: writes ? performance.now() - startedMs : null };
  } catch (error) {
    if (connection.isTransaction) rollback(connection);
    if (resultCodeOf(error) === busyCode) return { kind: "answers", answers: requests.map(() => busy), commitMs: null };
    return { kind: "fatal", message: error instanceof Error ? error.message : String(error) };
  }
}

function runOne(db: Database, { name, args }: Request): Answer {
  const { connection } = db;
  const operation = operations[name] as (db: Database, ...args: readonly unknown[]) => unknown;
  if (isRead(name)) {
    try {
      return { ok: true, value: operation(db, ...args) };
    } catch (error) {
      return failure(error);
    }
  }
  connection.exec("savepoint operation");
  try {
    const value = operation(db, ...args);
    connection.exec("release operation");
    return { ok: true, value };
  } catch (error) {
    const answer = failure(error);
    connection.exec("rollback to operation; release operation");
    return answer;
  }
}

function resultCodeOf(error: unknown): number | null {
  const { errcode } = error as { errcode?: unknown };
  return typeof errcode === "number" ? errcode & 0xff : null;
}

function failure(error: unknown): Answer {
  const resultCode = resultCodeOf(error);
  if (resultCode !== null && fatalCodes.has(resultCode)) throw error;
  return {
    ok: false,
    code: error instanceof RingbackError ? error.code : "bug",
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
  };
}

function rollback(connection: DatabaseSync): void {
  try {
    connection.exec("rollback");
  } catch {
    // SQLite has rolled back by itself; either way nothing of the group is kept.
  }
}
