import type { FromReader, ReaderPort, ToReader } from "../reader-thread/reader.ts";
import { packAnswer, packRequest, packValue, unpackAnswers, unpackRequest } from "./packing.ts";
import type { Packed } from "./packing.ts";
import type { CloningPort } from "./leaves.ts";

/** A message to the reader thread as it crosses. */
export type PackedToReader =
  | Exclude<ToReader, { readonly kind: "reads" }>
  | { readonly kind: "reads"; readonly requests: readonly Packed[] };
/** A message of the reader thread as it crosses. */
export type PackedFromReader =
  | Exclude<FromReader, { readonly kind: "answer" }>
  | { readonly kind: "answer"; readonly answer: Packed; readonly isLast: boolean };

export function packToReader(message: ToReader): PackedToReader {
  return message.kind === "reads" ? { kind: "reads", requests: message.requests.map(packRequest) } : message;
}

function unpackToReader(packed: PackedToReader): ToReader {
  return packed.kind === "reads" ? { kind: "reads", requests: packed.requests.map(unpackRequest) } : packed;
}

/** Packs a message whose value `packValue` has packed. */
function packFromReader(message: FromReader): PackedFromReader {
  return message.kind === "answer" ? { ...message, answer: packAnswer(message.answer) } : message;
}

export function unpackFromReader(packed: PackedFromReader): FromReader {
  if (packed.kind !== "answer") return packed;
  const [answer] = unpackAnswers([packed.answer]);
  return { ...packed, answer: answer ?? { ok: false, code: "bug", message: "the reader thread sent no answer" } };
}

/** Returns the connection of a reader thread to its queue, over a port that clones packed messages. */
export function packingReaderPort(port: CloningPort<PackedToReader>): ReaderPort {
  return {
    postMessage: (message) => port.postMessage(packFromReader(message)),
    on: (event, listener) => port.on(event, (packed) => listener(unpackToReader(packed))),
    close: () => port.close(),
    packValue,
  };
}
