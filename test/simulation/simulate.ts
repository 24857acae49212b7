import { Worker } from "node:worker_threads";
import type { FromSimulationWorker, ToSimulationWorker, WorkerTask } from "./worker.ts";

export type SimulateOptions = {
  readonly seeds: readonly number[];
  readonly workers: number;
  /** A bug of plants.ts; null: the service as it is. */
  readonly plant: string | null;
  /** Whether to continue after a failure. */
  readonly keepsGoing: boolean;
  readonly shrinks: boolean;
  /** Seeds that are lived twice; the two are compared. */
  readonly twice?: readonly number[];
  readonly write: (text: string) => void;
};

export type Failure = { readonly seed: number; readonly rule: string; readonly detail: string };
export type SimulateResult = {
  readonly lived: number;
  readonly failures: readonly Failure[];
  readonly seedsPerSecond: number;
  /** How often the plant took effect; `null` without a plant. */
  readonly plantEffects: number | null;
};

const maxBatchSize = 8;
/** Batches for each thread, where there are few seeds, so that no thread is idle for long at the end. */
const minBatches = 4;
const progressEveryMs = 5000;

/** Lives seeds over several threads, in order as far as their number allows, and says what came of it. */
export async function simulate(options: SimulateOptions): Promise<SimulateResult> {
  const { seeds, plant, keepsGoing, write } = options;
  const startedMs = performance.now();
  const failures: Failure[] = [];
  let next = 0;
  let lived = 0;
  let plantEffects = 0;
  let saidMs = startedMs;
  const batchSize = Math.min(maxBatchSize, Math.max(1, Math.floor(seeds.length / options.workers / minBatches)));
  const workers = Array.from({ length: Math.max(1, Math.min(options.workers, Math.ceil(seeds.length / batchSize))) }, () =>
    startWorker({ plant, keepsGoing, twice: options.twice ?? [] }),
  );
  const giveNext = (worker: Worker): boolean => {
    const isOver = next >= seeds.length || (failures.length > 0 && !keepsGoing);
    if (isOver) return false;
    const batch = seeds.slice(next, next + batchSize);
    next += batch.length;
    send(worker, { seeds: batch });
    return true;
  };
  const rate = () => lived / Math.max(0.001, (performance.now() - startedMs) / 1000);
  await Promise.all(
    workers.map(
      (worker) =>
        new Promise<void>((resolve, reject) => {
          worker.on("error", reject);
          worker.on("message", (message: FromSimulationWorker) => {
            if (message.kind === "lived") {
              lived += 1;
              plantEffects += message.plantEffects;
              // A failure without an effect of the plant is the service's own.
              if (plant !== null && message.rule !== null && message.plantEffects === 0)
                reject(new Error(`seed ${message.seed} fails without an effect of the plant ${plant}: ${message.rule}: ${message.detail}`));
              if (message.rule !== null) {
                failures.push({ seed: message.seed, rule: message.rule, detail: message.detail });
                write(`seed ${message.seed}: ${message.rule}: ${message.detail.slice(0, 300)}`);
              }
              if (performance.now() - saidMs > progressEveryMs) {
                saidMs = performance.now();
                write(`${lived} of ${seeds.length} seeds, ${failures.length} failed, ${rate().toFixed(1)} a second`);
              }
            } else if (message.kind === "batch_done" && !giveNext(worker)) resolve();
          });
          if (!giveNext(worker)) resolve();
        }),
    ),
  );
  const sorted = failures.toSorted((a, b) => a.seed - b.seed);
  const result = { lived, failures: sorted, seedsPerSecond: rate(), plantEffects: plant === null ? null : plantEffects };
  const [first] = result.failures;
  const [worker] = workers;
  if (first !== undefined && worker !== undefined && options.shrinks) write(await shrinkIn(worker, first.seed));
  for (const each of workers) send(each, "end");
  return result;
}

function startWorker(workerData: WorkerTask): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url), { workerData });
}

function shrinkIn(worker: Worker, seed: number): Promise<string> {
  return new Promise((resolve) => {
    worker.on("message", (message: FromSimulationWorker) => {
      if (message.kind === "shrunk") resolve(message.report);
    });
    send(worker, { shrink: seed });
  });
}

function send(worker: Worker, message: ToSimulationWorker): void {
  worker.postMessage(message);
}
