import { Database } from "./engine-adapter.ts";
import type { DatabaseSync, FromWorker, GroupRequest, ToWorker, WriterHost, WriterThread } from "./engine-adapter.ts";
import {
  brokenRequest,
  namedRequests,
  packFromWriter,
  packToWriter,
  packValue,
  serveWriter,
  unpackFromWriter,
  unpackToWriter,
} from "./engine-adapter.ts";
import type { Lifetime, Scheduler } from "./scheduler.ts";

/** How the disk takes one group. */
export type GroupFate = {
  /** Until the group is run, and from its commit to its answers. */
  readonly runAfterMs: number;
  readonly answerAfterMs: number;
  /**
   * - `busy`: another process holds the write lock, nothing is done.
   * - `full`: the commit fails and nothing of the group is on disk.
   * - `full_after`: the commit fails though the group is on disk, as after a lost fsync.
   */
  readonly fault: "none" | "busy" | "full" | "full_after";
  /** Index of the operation that throws an unexpected error; -1 if none. */
  readonly brokenIndex: number;
};

export type DiskOptions = {
  readonly scheduler: Scheduler;
  readonly lifetime: Lifetime;
  readonly fateOf: (requests: readonly GroupRequest[]) => GroupFate;
  /** A group was run, and its answers are on their way. */
  readonly onGroup?: () => void;
  /** A planted bug: answers leave before the commit, which follows so much later; null: as it should be. */
  readonly commitsLate?: (requests: readonly GroupRequest[]) => number | null;
  /** A planted bug: tampers with what an operation has left. */
  readonly afterGroup?: (connection: DatabaseSync, requests: readonly GroupRequest[], isCommitted: boolean) => void;
  /** Once, when the database is opened. */
  readonly onOpened?: (connection: DatabaseSync) => void;
};

const ignore = (): void => undefined;
const sqliteBusy = 5;
const sqliteFull = 13;

/** A group that the thread has and has not answered. */
type SentGroup = {
  readonly message: Extract<ToWorker, { kind: "group" }>;
  readonly requests: readonly GroupRequest[];
  readonly fate: GroupFate;
  isHandedOver: boolean;
};

/** The connection, whose commits can be made to fail or to come late. */
class SimulatedDatabase extends Database {
  /** What becomes of the group that begins now. */
  fateOfNext: () => { readonly fault: GroupFate["fault"]; readonly isCommitLate: boolean } = () => ({ fault: "none", isCommitLate: false });
  fault: GroupFate["fault"] = "none";
  isCommitLate = false;
  isCommitOpen = false;
  hasCommitted = false;
  #isWriting = false;

  override run(sql: string, ...values: Parameters<Database["run"]> extends [string, ...infer Rest] ? Rest : never): number {
    if (sql.startsWith("begin")) {
      Object.assign(this, this.fateOfNext());
      this.hasCommitted = false;
      this.#isWriting = sql === "begin immediate";
      if (this.fault === "busy" && this.#isWriting) throw sqliteError("database is locked", sqliteBusy);
    }
    if (sql === "commit") return this.#commit();
    return super.run(sql, ...values);
  }

  finishCommit(): void {
    if (!this.isCommitOpen) return;
    this.isCommitOpen = false;
    super.run("commit");
    this.hasCommitted = true;
  }

  #commit(): number {
    if (this.fault === "full" && this.#isWriting) throw sqliteError("database or disk is full", sqliteFull);
    if (this.isCommitLate && this.#isWriting) {
      this.isCommitOpen = true;
      return 0;
    }
    super.run("commit");
    this.hasCommitted = true;
    if (this.fault === "full_after" && this.#isWriting) throw sqliteError("disk I/O error", sqliteFull);
    return 0;
  }
}

/**
 * Runs the writer in this thread: the groups, savepoints, operations and packed messages are the real ones, and when a group runs and when
 * its answers arrive is decided by the scheduler. Messages arrive in the order in which they were sent, in both directions. A
 * group that was sent ahead waits for the one before it: outside of the writer, so that a crash may come between the two, or
 * inside while drafts are awaited. `crash` does what the end of a process does: an open transaction is rolled back, what was
 * committed stays, and a group that waits never runs.
 */
export class SimulatedDisk implements WriterHost {
  readonly #options: DiskOptions;
  #crash: () => void = ignore;
  #connection: DatabaseSync | null = null;

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  nextTurn(run: () => void): void {
    this.#options.scheduler.schedule(0, run, this.#options.lifetime);
  }

  setTimer(delayMs: number, run: () => void) {
    return this.#options.scheduler.schedule(delayMs, run, this.#options.lifetime);
  }

  startThread(options: Parameters<WriterHost["startThread"]>[0]): WriterThread {
    const { scheduler, lifetime, fateOf, onGroup, onOpened, afterGroup, commitsLate } = this.#options;
    let toWriter: (message: ToWorker) => void = ignore;
    let toQueue: (message: FromWorker) => void = ignore;
    let exited: () => void = ignore;
    let database: SimulatedDatabase | null = null;
    /** Oldest first. */
    const groups: SentGroup[] = [];
    const answers: { readonly message: FromWorker; isDue: boolean }[] = [];
    const later = (delayMs: number, run: () => void) => scheduler.schedule(delayMs, run, lifetime);

    const answer = (delayMs: number, message: FromWorker) => {
      const sent = { message, isDue: false };
      answers.push(sent);
      later(delayMs, () => {
        sent.isDue = true;
        for (let next = answers[0]; next?.isDue === true; next = answers[0]) {
          answers.shift();
          toQueue(next.message);
        }
      });
    };
    const handOver = (group: SentGroup | undefined) => {
      if (group === undefined || group.isHandedOver) return;
      group.isHandedOver = true;
      const { message, fate } = group;
      toWriter({
        kind: "group",
        requests: message.requests.map((request, index) => (index === fate.brokenIndex ? brokenRequest(request) : request)),
      });
    };
    const startNext = () => {
      const [next] = groups;
      if (next !== undefined && !next.isHandedOver && database?.isCommitOpen === false) later(next.fate.runAfterMs, () => handOver(next));
    };
    const finishCommit = () => {
      if (database?.isCommitOpen !== true) return;
      database.finishCommit();
      startNext();
    };
    const post = (posted: FromWorker) => {
      const message = unpackFromWriter(packFromWriter(posted));
      if (message.kind === "closed") return toQueue(message);
      if (message.kind === "draft" && database?.isCommitLate === false) handOver(groups[1]);
      if (message.kind !== "answers" && message.kind !== "fatal") return answer(0, message);
      const group = groups.shift();
      if (group === undefined || database === null) throw new Error("the writer answers a group that it was not sent");
      const { requests, fate } = group;
      afterGroup?.(database.connection, requests, database.hasCommitted || database.isCommitOpen);
      if (database.isCommitOpen) later(fate.answerAfterMs + (commitsLate?.(requests) ?? 0), finishCommit);
      else startNext();
      answer(fate.answerAfterMs, message);
      onGroup?.();
      return undefined;
    };
    const thread: WriterThread = {
      postMessage: (posted) => {
        const message = unpackToWriter(packToWriter(posted));
        if (message.kind === "group") {
          const requests = namedRequests(message.requests);
          groups.push({ message, requests, fate: fateOf(requests), isHandedOver: false });
          if (groups.length === 1) startNext();
        } else if (message.kind === "drafted") later(0, () => toWriter(message));
        else {
          database?.finishCommit();
          toWriter(message);
        }
      },
      on: (event: string, listener: (argument: never) => void) => {
        if (event === "message") toQueue = listener as typeof toQueue;
        if (event === "exit") exited = listener as typeof exited;
      },
      terminate: () => {
        this.#crash();
        exited();
        return Promise.resolve();
      },
    };
    let isClosed = false;
    const port = {
      postMessage: post,
      on: (_event: "message", listener: (message: ToWorker) => void) => {
        toWriter = listener;
      },
      close: () => {
        isClosed = true;
      },
      packValue,
    };
    serveWriter(port, options, (connection, policy) => {
      onOpened?.(connection);
      this.#connection = connection;
      database = new SimulatedDatabase(connection, policy);
      database.fateOfNext = () => {
        const [running] = groups;
        if (running === undefined) return { fault: "none", isCommitLate: false };
        return { fault: running.fate.fault, isCommitLate: (commitsLate?.(running.requests) ?? null) !== null };
      };
      return database;
    });
    this.#crash = () => {
      toQueue = ignore;
      if (!isClosed) toWriter({ kind: "close" });
    };
    return thread;
  }

  /** Null until it is open. */
  get connection(): DatabaseSync | null {
    return this.#connection;
  }

  crash(): void {
    this.#crash();
  }
}

function sqliteError(message: string, errcode: number): Error {
  return Object.assign(new Error(message), { code: "ERR_SQLITE_ERROR", errcode });
}
