import { EventEmitter } from "node:events";
import { syncBuiltinESMExports } from "node:module";
import workerThreads from "node:worker_threads";
import type { Worker } from "node:worker_threads";
import type { Life } from "./store-thread.ts";

const startThread = workerThreads.Worker;
/** Roles by the file that a store starts a thread with. */
const roles: Readonly<Record<string, Life["role"]>> = {
  "/src/adapters/sqlite/writer-thread/worker.ts": "writer",
  "/src/adapters/sqlite/reader-thread/worker.ts": "reader",
  "/src/adapters/sqlite/writer-thread/checkpoint-worker.ts": "checkpointer",
};
const root = new URL("../../..", import.meta.url).pathname.replace(/\/$/, "");
const idle = new Set<Worker>();

/** One life of a thread: begins with `workerData`, and ends as a thread does that closes its port. */
class KeptThread extends EventEmitter {
  readonly #thread: Worker;
  readonly #port;
  #hasEnded = false;
  #isGone = false;

  constructor(role: Life["role"], workerData: unknown) {
    super();
    const { port1, port2 } = new workerThreads.MessageChannel();
    this.#port = port1;
    this.#thread = takeThread();
    this.#thread.on("error", this.#fail).on("exit", this.#exit);
    port1.on("message", (message) => void this.emit("message", message));
    port1.on("close", () => this.#end());
    this.#thread.postMessage({ role, options: workerData, port: port2 }, [port2]);
  }

  postMessage(message: unknown): void {
    this.#port.postMessage(message);
  }

  ref(): void {
    this.#port.ref();
  }

  unref(): void {
    this.#port.unref();
  }

  terminate(): Promise<number> {
    // By now the thread may be another store's.
    if (this.#hasEnded) return Promise.resolve(0);
    this.#isGone = true;
    return this.#thread.terminate();
  }

  readonly #fail = (error: Error): void => {
    this.#isGone = true;
    this.emit("error", error);
  };

  readonly #exit = (): void => {
    this.#isGone = true;
    this.#end();
  };

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#thread.off("error", this.#fail).off("exit", this.#exit);
    if (!this.#isGone) idle.add(this.#thread);
    this.emit("exit");
  }
}

function takeThread(): Worker {
  const [kept] = idle;
  if (kept !== undefined) {
    idle.delete(kept);
    return kept;
  }
  const thread = new startThread(new URL("./store-thread.ts", import.meta.url), { execArgv: [] });
  thread.on("error", () => idle.delete(thread)).on("exit", () => idle.delete(thread));
  thread.unref();
  return thread;
}

function startOrKeep(...[program, options]: ConstructorParameters<typeof Worker>): Worker | KeptThread {
  const role = roles[String(program).slice(`file://${root}`.length)];
  return role === undefined ? new startThread(program, options) : new KeptThread(role, options?.workerData);
}

/**
 * Chooses whether the thread of an SQLite store that has closed serves the next store of this process. Loading its modules
 * takes ten times the processor time of opening a database. Connections, caches and messages are those of a new thread,
 * and `store-thread.ts` runs the functions that the threads of the service run.
 */
export function keepThreads(keeps: boolean): void {
  Object.assign(workerThreads, { Worker: keeps ? startOrKeep : startThread });
  // Modules that import the name see the change.
  syncBuiltinESMExports();
}
