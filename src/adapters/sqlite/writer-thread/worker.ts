import { parentPort, workerData } from "node:worker_threads";
import { packFromWriter, unpackToWriter } from "../messages/writer-messages.ts";
import type { PackedToWriter } from "../messages/writer-messages.ts";
import { packValue } from "../messages/packing.ts";
import { serveWriter } from "./writer.ts";
import type { WorkerOptions } from "./writer.ts";

if (parentPort !== null) serve(parentPort, workerData as WorkerOptions);

function serve(port: NonNullable<typeof parentPort>, options: WorkerOptions): void {
  serveWriter(
    {
      postMessage: (message) => port.postMessage(packFromWriter(message)),
      on: (event, listener) => port.on(event, (packed: PackedToWriter) => listener(unpackToWriter(packed))),
      close: () => port.close(),
      packValue,
    },
    options,
  );
}
