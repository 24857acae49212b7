import type { FromWorker, ToWorker, WriterPort } from "../writer-thread/writer.ts";
import {
  packAnswer,
  packDraftResults,
  packRequest,
  packValue,
  unpackAnswers,
  unpackClaimedResults,
  unpackDraftResults,
  unpackRequest,
} from "./packing.ts";
import type { Packed } from "./packing.ts";
import type { CloningPort } from "./leaves.ts";

/** A message to the writer thread as it crosses. */
export type PackedToWriter =
  | Exclude<ToWorker, { readonly kind: "group" | "drafted" }>
  | { readonly kind: "group"; readonly requests: readonly Packed[] }
  | { readonly kind: "drafted"; readonly drafted: Packed };
/** A message of the writer thread as it crosses. */
export type PackedFromWriter =
  | Exclude<FromWorker, { readonly kind: "answers" }>
  | { readonly kind: "answers"; readonly answers: readonly Packed[]; readonly commitMs: number | null };

export function packToWriter(message: ToWorker): PackedToWriter {
  if (message.kind === "group") return { kind: "group", requests: message.requests.map(packRequest) };
  if (message.kind === "drafted") return { kind: "drafted", drafted: packDraftResults(message.drafted) };
  return message;
}

export function unpackToWriter(packed: PackedToWriter): ToWorker {
  if (packed.kind === "group") return { kind: "group", requests: packed.requests.map(unpackRequest) };
  if (packed.kind === "drafted") return { kind: "drafted", drafted: unpackDraftResults(packed.drafted) };
  return packed;
}

/** Packs a message whose values `packValue` has packed. */
export function packFromWriter(message: FromWorker): PackedFromWriter {
  if (message.kind !== "answers") return message;
  return { kind: "answers", answers: message.answers.map(packAnswer), commitMs: message.commitMs };
}

export function unpackFromWriter(packed: PackedFromWriter): FromWorker {
  if (packed.kind === "answers") return { kind: "answers", answers: unpackAnswers(packed.answers), commitMs: packed.commitMs };
  if (packed.kind === "draft") return { kind: "draft", results: unpackClaimedResults(packed.results) };
  return packed;
}

/** Returns the connection of a writer thread to its queue, over a port that clones packed messages. */
export function packingWriterPort(port: CloningPort<PackedToWriter>): WriterPort {
  return {
    postMessage: (message) => port.postMessage(packFromWriter(message)),
    on: (event, listener) => port.on(event, (packed) => listener(unpackToWriter(packed))),
    close: () => port.close(),
    packValue,
  };
}
