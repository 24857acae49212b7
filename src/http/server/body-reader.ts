import type { IncomingMessage } from "node:http";

/** Capacity of a buffer at first; most bodies fit. */
const firstBytes = 4096;

/**
 * Bytes that arrived, copied into one buffer that doubles when it is full. A client chooses the size of its chunks, and a list of one-byte
 * chunks would hold a hundred times the bytes of the body.
 */
export class GrowingBuffer {
  readonly #maxBytes: number;
  #buffer: Buffer | null = null;
  #length = 0;
  /** Number of buffers that were allocated. */
  allocations = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Appends a chunk; false if the bytes would exceed the limit. */
  append(chunk: Uint8Array): boolean {
    const length = this.#length + chunk.length;
    if (length > this.#maxBytes) return false;
    if (this.#buffer === null || length > this.#buffer.length) this.#grow(length);
    this.#buffer?.set(chunk, this.#length);
    this.#length = length;
    return true;
  }

  /** Returns a view of the bytes. */
  bytes(): Uint8Array {
    return this.#buffer?.subarray(0, this.#length) ?? new Uint8Array();
  }

  #grow(length: number): void {
    const capacity = Math.min(this.#maxBytes, Math.max(length, 2 * (this.#buffer?.length ?? 0), firstBytes));
    const grown = Buffer.allocUnsafeSlow(capacity);
    this.#buffer?.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
    this.allocations += 1;
  }
}

/**
 * Reads a body of at most `maxBytes`; `null` if it has more, which are left unread. Rejects if the connection ends before the body does.
 * Reads the request of Node, because a web stream costs a promise and several objects for each chunk.
 */
export function readIncoming(incoming: IncomingMessage, maxBytes: number): Promise<Uint8Array | null> {
  const buffer = new GrowingBuffer(maxBytes);
  if (incoming.readableEnded) return Promise.resolve(buffer.bytes());
  return new Promise((resolve, reject) => {
    const stop = () => incoming.off("data", take).off("end", end).off("error", fail).off("close", fail);
    const take = (chunk: Buffer) => {
      if (buffer.append(chunk)) return;
      stop();
      incoming.pause();
      resolve(null);
    };
    const end = () => {
      stop();
      resolve(buffer.bytes());
    };
    const fail = () => {
      stop();
      reject(new Error("the request ended before its body"));
    };
    if (incoming.destroyed) return fail();
    incoming.on("data", take).on("end", end).on("error", fail).on("close", fail);
    return undefined;
  });
}
