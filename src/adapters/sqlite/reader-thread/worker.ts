import { parentPort, workerData } from "node:worker_threads";
import { packFromReader, unpackToReader } from "../messages/reader-messages.ts";
import type { PackedToReader } from "../messages/reader-messages.ts";
import { packValue } from "../messages/packing.ts";
import { serveReader } from "./reader.ts";
import type { ReaderOptions } from "./reader.ts";

if (parentPort !== null) serve(parentPort, workerData as ReaderOptions);

function serve(port: NonNullable<typeof parentPort>, options: ReaderOptions): void {
  serveReader(
    {
      postMessage: (message) => port.postMessage(packFromReader(message)),
      on: (event, listener) => port.on(event, (packed: PackedToReader) => listener(unpackToReader(packed))),
      close: () => port.close(),
      packValue,
    },
    options,
  );
}
