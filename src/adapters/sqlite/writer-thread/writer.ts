import { messageOf } from "../../../domain/error-text.ts";
import type { DatabaseSync } from "node:sqlite";
import { KeyBlock, KeySequence, useKeys } from "../../../domain/ids.ts";
import type { DeliveryPolicy } from "../../../domain/deliveries/retry-policy.ts";
import { Database } from "../connection/database.ts";
import { beginEpoch } from "../connection/feed-epochs.ts";
import { runGroup } from "./group.ts";
import type { ClaimedResult, DraftResult, GroupResult, PackValue, Request } from "./group.ts";
import { readNewestKey, reserveKeys } from "../connection/keys.ts";
import { openConnection } from "../connection/open-connection.ts";
import type { ConnectionRole } from "../connection/open-connection.ts";
import { setServerKeys } from "../keys/server-keys.ts";
import { endRecount } from "../retention/recount.ts";
import { clearLeases } from "../deliveries/claims.ts";

export type WorkerOptions = {
  readonly path: string;
  readonly policy: DeliveryPolicy | null;
  readonly role: ConnectionRole;
  /** Time of the opening. */
  readonly nowMs: number;
};
export type Opened = {
  /** Number of applied migrations. */
  readonly migrations: number;
  /** Newest key of the database. For a connection beside a server, the key before the reserved block. */
  readonly newestKey: number;
};
/** Message to the writer thread. `drafted` answers a `draft`. A group may follow while another one runs, also while its drafts are awaited. */
export type ToWorker =
  | { readonly kind: "group"; readonly requests: readonly Request[] }
  | { readonly kind: "drafted"; readonly drafted: readonly DraftResult[] }
  | { readonly kind: "close" };
export type FromWorker =
  | ({ readonly kind: "ready" } & Opened)
  | { readonly kind: "refused"; readonly message: string }
  /** Requests the answers to store with these results of the group that runs, while the transaction is open. */
  | { readonly kind: "draft"; readonly results: readonly ClaimedResult[] }
  | GroupResult
  | { readonly kind: "closed" };

/** Connection of the writer to its queue. */
export type WriterPort = {
  postMessage(message: FromWorker): void;
  on(event: "message", listener: (message: ToWorker) => void): unknown;
  close(): void;
  /** Is applied to the value of each answer before the commit of its group. */
  readonly packValue: PackValue;
};

/**
 * Owns the database connection and runs one group after the other, in the order in which they arrive, until it is closed.
 * No group begins before the answers to the one before it are sent. None runs after a `fatal`: whether the failed group is on
 * disk is unknown, and the disk must not have a group without the one before it. `createDatabase` replaces `Database`.
 */
export function serveWriter(
  port: WriterPort,
  options: WorkerOptions,
  createDatabase: (connection: DatabaseSync, policy: DeliveryPolicy | null) => Database = (connection, policy) =>
    new Database(connection, policy),
): void {
  const post = (message: FromWorker) => port.postMessage(message);
  try {
    const { connection, lock, migrations } = openConnection(options.path, options.role);
    const db = createDatabase(connection, options.policy);
    const newestKey = options.role === "server" ? startServer(db, options.nowMs) : startBeside(db, options.nowMs);
    let drafting: ((drafted: readonly DraftResult[]) => void) | null = null;
    const draftAnswers = (results: readonly ClaimedResult[]) =>
      new Promise<readonly DraftResult[]>((resolve) => {
        drafting = resolve;
        post({ kind: "draft", results });
      });
    let hasFailed = false;
    const runNext = async (requests: readonly Request[]) => {
      if (hasFailed) return;
      const result = await runGroup(db, requests, draftAnswers, port.packValue);
      hasFailed = result.kind === "fatal";
      post(result);
    };
    let groups = Promise.resolve();
    port.on("message", (message: ToWorker) => {
      switch (message.kind) {
        case "group":
          groups = groups.then(() => runNext(message.requests));
          return;
        case "drafted":
          drafting?.(message.drafted);
          return;
        case "close":
          endRecount(db);
          connection.close();
          lock?.close();
          post({ kind: "closed" });
          port.close();
          return;
      }
    });
    post({ kind: "ready", migrations, newestKey });
  } catch (error) {
    post({ kind: "refused", message: messageOf(error) });
    port.close();
  }
}

/** Starts the ids of this thread, in the second half of the block that it reserves. Returns the key before the block. */
function startBeside(db: Database, nowMs: number): number {
  const first = reserveKeys(db, nowMs);
  // A thread that served another database before still has the keys of that database.
  useKeys(null);
  useKeys(KeyBlock.halves(first)[1]);
  return first - 1;
}

/** Slot of the ids that this thread makes. The main thread has `mainThreadSlot`. */
const writerThreadSlot = 2;

/**
 * Begins an epoch of the feed. Clears the leases and the key ids of the last server; this server sets its own key ids once it has opened its keyring.
 * Starts the ids of this thread. Returns the newest key of the database.
 */
function startServer(db: Database, nowMs: number): number {
  db.transaction(() => {
    clearLeases(db, nowMs);
    beginEpoch(db, nowMs);
    setServerKeys(db, []);
  });
  const newestKey = readNewestKey(db);
  useKeys(new KeySequence(writerThreadSlot, newestKey));
  return newestKey;
}
