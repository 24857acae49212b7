import { parentPort } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { packingReaderPort } from "../../../src/adapters/sqlite/messages/reader-messages.ts";
import { packingWriterPort } from "../../../src/adapters/sqlite/messages/writer-messages.ts";
import { serveReader } from "../../../src/adapters/sqlite/reader-thread/reader.ts";
import type { ReaderOptions } from "../../../src/adapters/sqlite/reader-thread/reader.ts";
import { serveCheckpoints } from "../../../src/adapters/sqlite/writer-thread/checkpoints.ts";
import type { CheckpointOptions } from "../../../src/adapters/sqlite/writer-thread/checkpoints.ts";
import { serveWriter } from "../../../src/adapters/sqlite/writer-thread/writer.ts";
import type { WorkerOptions } from "../../../src/adapters/sqlite/writer-thread/writer.ts";

/** One life of a thread: what it is to be, and its connection to the store, which it closes at the end. */
export type Life = { readonly port: MessagePort } & (
  | { readonly role: "writer"; readonly options: WorkerOptions }
  | { readonly role: "reader"; readonly options: ReaderOptions }
  | { readonly role: "checkpointer"; readonly options: CheckpointOptions }
);

/* A thread of SQLite stores that serves one store after the other, with the functions that the threads of the service run. */
parentPort?.on("message", (life: Life) => {
  if (life.role === "writer") serveWriter(packingWriterPort(life.port), life.options);
  else if (life.role === "reader") serveReader(packingReaderPort(life.port), life.options);
  else serveCheckpoints(life.port, life.options);
});
