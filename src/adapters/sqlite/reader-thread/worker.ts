import { parentPort, workerData } from "node:worker_threads";
import { serveReader } from "./reader.ts";
import type { ReaderOptions } from "./reader.ts";

if (parentPort !== null) serveReader(parentPort, workerData as ReaderOptions);
