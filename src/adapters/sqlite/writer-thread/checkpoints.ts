import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../../../domain/error-text.ts";
import { resultCodeOf } from "../connection/result-code.ts";

export type CheckpointOptions = { readonly path: string };
export type ToCheckpointWorker = "checkpoint" | "close";
export type FromCheckpointWorker =
  /** Length of the log, and of its beginning that is in the database file, in pages; -1 if another checkpoint was running. */
  | { readonly kind: "done"; readonly logPages: number; readonly copiedPages: number }
  | { readonly kind: "failed"; readonly code: number | null; readonly message: string };

/** Connection of the thread to the checkpointer. */
type CheckpointPort = {
  postMessage(message: FromCheckpointWorker): void;
  on(event: "message", listener: (message: ToCheckpointWorker) => void): unknown;
  close(): void;
};

/** Copies committed pages from the log into the database file, on a connection of its own, while the writer commits. */
export function serveCheckpoints(port: CheckpointPort, { path }: CheckpointOptions): void {
  const connection = new DatabaseSync(path);
  connection.exec("pragma synchronous = full; pragma wal_autocheckpoint = 0");
  port.on("message", (message: ToCheckpointWorker) => {
    if (message === "close") {
      connection.close();
      port.close();
      return;
    }
    port.postMessage(checkpoint(connection));
  });
}

function checkpoint(connection: DatabaseSync): FromCheckpointWorker {
  try {
    const row = connection.prepare("pragma wal_checkpoint(passive)").get();
    return { kind: "done", logPages: Number(row?.["log"] ?? -1), copiedPages: Number(row?.["checkpointed"] ?? -1) };
  } catch (error) {
    return { kind: "failed", code: resultCodeOf(error), message: messageOf(error) };
  }
}
