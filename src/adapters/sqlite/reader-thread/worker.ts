import { parentPort, workerData } from "node:worker_threads";
import { packingReaderPort } from "../messages/reader-messages.ts";
import { serveReader } from "./reader.ts";
import type { ReaderOptions } from "./reader.ts";

if (parentPort !== null) serveReader(packingReaderPort(parentPort), workerData as ReaderOptions);
