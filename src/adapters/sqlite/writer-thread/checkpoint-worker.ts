import { parentPort, workerData } from "node:worker_threads";
import { serveCheckpoints } from "./checkpoints.ts";
import type { CheckpointOptions } from "./checkpoints.ts";

if (parentPort !== null) serveCheckpoints(parentPort, workerData as CheckpointOptions);
