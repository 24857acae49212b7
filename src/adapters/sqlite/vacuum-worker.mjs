import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";

// Copies a database with one statement that may take minutes. In a thread of its own, so that the program can say how far it is.
const { path, target, busyTimeoutMs } = workerData;
const connection = new DatabaseSync(path, { timeout: busyTimeoutMs });
try {
  connection.prepare("vacuum into ?").run(target);
} finally {
  connection.close();
}
parentPort?.postMessage("copied");
