import { messageOf } from "../../../domain/error-text.ts";
import { Database } from "../connection/database.ts";
import { openReader } from "../connection/open-reader.ts";
import { busyCode, isFatalCode, resultCodeOf } from "../connection/result-code.ts";
import { isReadersRead } from "../operations.ts";
import { failure, rollback, runRequest, success } from "../writer-thread/group.ts";
import type { Answer, PackValue, Request } from "../writer-thread/group.ts";

export type ReaderOptions = { readonly path: string };
/** Message to the reader thread. `open` comes first. No message follows `reads` before their last answer. */
export type ToReader =
  | { readonly kind: "open" }
  | { readonly kind: "reads"; readonly requests: readonly Request[] }
  | { readonly kind: "close" };
export type FromReader =
  | { readonly kind: "ready" }
  | { readonly kind: "refused"; readonly message: string }
  /** Answer of the first read without one. After the last answer, the thread has not run the reads that still lack one. */
  | { readonly kind: "answer"; readonly answer: Answer; readonly isLast: boolean }
  /** The database failed. */
  | { readonly kind: "fatal"; readonly message: string }
  | { readonly kind: "closed" };

/** Connection of the reader to its queue. */
export type ReaderPort = {
  postMessage(message: FromReader): void;
  on(event: "message", listener: (message: ToReader) => void): unknown;
  close(): void;
  /** Is applied to the value of each answer. */
  readonly packValue: PackValue;
};

/** Time after which the thread starts no further read of those that it was sent. */
const sliceMs = 2;
const busy: Answer = { ok: false, code: "store-unavailable", message: "another process is locking the database" };

/** Owns the reader's connection, from `open` to `close`, and runs one read after the other. */
export function serveReader(port: ReaderPort, { path }: ReaderOptions): void {
  let db: Database | null = null;
  port.on("message", (message: ToReader) => {
    switch (message.kind) {
      case "open":
        try {
          db = new Database(openReader(path), null);
          port.postMessage({ kind: "ready" });
        } catch (error) {
          port.postMessage({ kind: "refused", message: messageOf(error) });
          port.close();
        }
        return;
      case "reads":
        if (db !== null) void runReads(db, message.requests, port);
        return;
      case "close":
        db?.connection.close();
        port.postMessage({ kind: "closed" });
        port.close();
        return;
    }
  });
}

/** Sends each answer by itself, because a read may take much longer than the one before it. */
async function runReads(db: Database, requests: readonly Request[], port: ReaderPort): Promise<void> {
  const sliceEndMs = performance.now() + sliceMs;
  for (const [index, request] of requests.entries()) {
    const result = await runRead(db, request, port.packValue);
    const isLast = index === requests.length - 1 || performance.now() >= sliceEndMs;
    port.postMessage(result.kind === "fatal" ? result : { ...result, isLast });
    if (isLast || result.kind === "fatal") return;
  }
}

type ReadResult = { readonly kind: "answer"; readonly answer: Answer } | { readonly kind: "fatal"; readonly message: string };

/**
 * Runs one read in a transaction of its own. It begins after the read was requested, so it sees every commit that was answered
 * before, and all of its statements see the same commits. It ends before the answer leaves, because a snapshot that stays
 * open would keep the checkpoints from starting the log over.
 */
async function runRead(db: Database, request: Request, packValue: PackValue): Promise<ReadResult> {
  try {
    if (!isReadersRead(request.operation)) throw new Error(`the reader thread has no operation ${request.operation}`);
    db.run("begin");
    const value = await runRequest(db, request);
    db.run("commit");
    return { kind: "answer", answer: success(packValue(request, value)) };
  } catch (error) {
    if (db.connection.isTransaction) rollback(db);
    const code = resultCodeOf(error);
    if (isFatalCode(code)) return { kind: "fatal", message: messageOf(error) };
    return { kind: "answer", answer: code === busyCode ? busy : failure(error) };
  }
}
