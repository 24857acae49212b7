import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../../../domain/error-text.ts";
import { keptLogBytes } from "../connection/open-connection.ts";
import { resultCodeOf } from "../connection/result-code.ts";

export type CheckpointOptions = { readonly path: string };
export type ToCheckpointWorker = "checkpoint" | "close";
export type FromCheckpointWorker =
  /**
   * Length of the log, and of its beginning that is in the database file, in pages; -1 if another checkpoint was running.
   * `fileBytes` is the size of its file, which keeps the size of the longest log until it is truncated.
   */
  | { readonly kind: "done"; readonly logPages: number; readonly copiedPages: number; readonly fileBytes: number }
  | { readonly kind: "failed"; readonly code: number | null; readonly message: string };

/** Connection of the thread to the checkpointer. */
type CheckpointPort = {
  postMessage(message: FromCheckpointWorker): void;
  on(event: "message", listener: (message: ToCheckpointWorker) => void): unknown;
  close(): void;
};

/** Copies committed pages from the log into the database file, on a connection of its own, while the writer commits. */
export function serveCheckpoints(port: CheckpointPort, { path }: CheckpointOptions): void {
  const connection = new DatabaseSync(path, { timeout: 0 });
  connection.exec("pragma synchronous = full; pragma wal_autocheckpoint = 0");
  port.on("message", (message: ToCheckpointWorker) => {
    if (message === "close") {
      connection.close();
      port.close();
      return;
    }
    port.postMessage(checkpoint(connection, path));
  });
}

function checkpoint(connection: DatabaseSync, path: string): FromCheckpointWorker {
  try {
    const row = connection.prepare("pragma wal_checkpoint(passive)").get();
    const [logPages, copiedPages] = [Number(row?.["log"] ?? -1), Number(row?.["checkpointed"] ?? -1)];
    // A log that nothing follows does not start over by itself. Without a busy timeout this gives up at once if a commit is
    // under way or a snapshot needs the log.
    if (logPages === copiedPages && logBytes(path) > keptLogBytes) connection.prepare("pragma wal_checkpoint(truncate)").get();
    return { kind: "done", logPages, copiedPages, fileBytes: logBytes(path) };
  } catch (error) {
    return { kind: "failed", code: resultCodeOf(error), message: messageOf(error) };
  }
}

function logBytes(path: string): number {
  return statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
}
