import { parentPort, workerData } from "node:worker_threads";
import { packingWriterPort } from "../messages/writer-messages.ts";
import { serveWriter } from "./writer.ts";
import type { WorkerOptions } from "./writer.ts";

if (parentPort !== null) serveWriter(packingWriterPort(parentPort), workerData as WorkerOptions);
