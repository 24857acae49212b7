import { parentPort, workerData } from "node:worker_threads";
import { serveWriter } from "./writer.ts";
import type { WorkerOptions } from "./writer.ts";

if (parentPort !== null) serveWriter(parentPort, workerData as WorkerOptions);
