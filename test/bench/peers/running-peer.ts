import type { ServiceProcess } from "../../../src/cli/demo/service-process.ts";
import { encryptionKey } from "../../harness/service/environment.ts";
import { benchService } from "../bench-service.ts";
import { startChild } from "../child.ts";
import type { Child } from "../child.ts";
import { watchBatch } from "../watch-batch.ts";
import type { Job } from "./job.ts";

const batchSize = 1000;
const hosts = 20;
const startLimitMs = 180_000;

/** The part of a job that does not depend on who does it. */
export type Load = Omit<Job, "store" | "resumes">;

/** A process that does the job. */
export type RunningPeer = AsyncDisposable & {
  readonly pid: number;
  /** Sends SIGKILL; resolves when the process has ended. */
  kill(): Promise<void>;
  /** Starts the process on the same store after `kill`. */
  startAgain(): Promise<void>;
};

/** Starts a program of this folder. It is given the calls at its first start. */
export async function startProgram(module: string, load: Load, store: string): Promise<RunningPeer> {
  const start = (resumes: boolean): Promise<Child> => startChild(`./peers/${module}`, [JSON.stringify({ ...load, store, resumes })]);
  let child = await start(false);
  return {
    get pid() {
      return child.pid;
    },
    kill: () => child.kill(),
    async startAgain() {
      child = await start(true);
    },
    [Symbol.asyncDispose]: () => child.kill(),
  };
}

/** Starts this service, and registers the calls in batches. */
export async function startRingback(load: Load, databaseUrl: string): Promise<RunningPeer> {
  const service: ServiceProcess = await benchService({
    DATABASE_URL: databaseUrl,
    ...(databaseUrl.startsWith("postgres") ? { RINGBACK_ENCRYPTION_KEY: encryptionKey } : {}),
    POLYAI_BASE_URL: `http://127.0.0.1:${load.upstreamPort}/moving`,
    // The rate spreads the polls, as it does in production.
    POLYAI_MAX_POLLS_PER_SECOND: String(Math.ceil((load.calls / load.intervalMs) * 1000)),
    POLL_INTERVAL_MIN_MS: String(load.intervalMs),
    POLL_INTERVAL_MAX_MS: String(load.intervalMs),
    RETRY_SCHEDULE: "0s,1s,2s,4s,8s,16s,32s",
  });
  await service.start(AbortSignal.timeout(startLimitMs));
  for (let from = 0; from < load.calls; from += batchSize)
    await watchBatch(service.url, { from, size: Math.min(batchSize, load.calls - from), sinkPort: load.sinkPort, hosts });
  return {
    get pid() {
      return service.pid;
    },
    kill: () => service.kill(),
    startAgain: () => service.start(AbortSignal.timeout(startLimitMs)),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}
