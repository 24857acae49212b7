import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import { messageOf } from "../../../domain/error-text.ts";
import { resultCodeOf } from "../connection/result-code.ts";

export type CheckpointWorkerOptions = { readonly path: string };
export type ToCheckpointWorker = "checkpoint" | "close";
export type FromCheckpointWorker =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly code: number | null; readonly message: string };

if (parentPort !== null) serve(parentPort, workerData as CheckpointWorkerOptions);

/** Copies committed pages from the log into the database file, on a connection of its own, while the writer commits. */
function serve(port: NonNullable<typeof parentPort>, { path }: CheckpointWorkerOptions): void {
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
    connection.exec("pragma wal_checkpoint(passive)");
    return { kind: "done" };
  } catch (error) {
    return { kind: "failed", code: resultCodeOf(error), message: messageOf(error) };
  }
}
