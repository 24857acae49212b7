/**
 * Values of a message, one after the other and without the names of their properties: structured cloning writes and reads
 * every name and every object, which costs several times as much as the values. Each value is cloned as it is, so none is
 * changed by a text form of it. A list among them is a shared object.
 */
export type Leaves = unknown[];

/** A value does not have its shape. Nothing of it crosses. */
export class ShapeError extends Error {}

/** Packs and unpacks values of one shape. */
export type Codec<T> = {
  /** Appends the leaves of the value. Throws `ShapeError` for a value of another shape, also for one with more properties. */
  readonly pack: (value: T, into: Leaves) => void;
  readonly unpack: (from: LeafReader) => T;
};
export type AnyCodec = Codec<unknown>;

/** Port of a thread, as far as messages need it. */
export type CloningPort<Received> = {
  postMessage(message: unknown): void;
  on(event: "message", listener: (message: Received) => void): unknown;
  close(): void;
};

/** Takes the leaves of one value in order. `shared` has the shared objects of the whole message. */
export class LeafReader {
  readonly #leaves: readonly unknown[];
  readonly #shared: Map<unknown, unknown>;
  #place = 0;

  constructor(leaves: readonly unknown[], shared: Map<unknown, unknown>) {
    this.#leaves = leaves;
    this.#shared = shared;
  }

  take(): unknown {
    return this.#leaves[this.#place++];
  }

  takeShared(codec: AnyCodec): unknown {
    const leaves = this.take() as readonly unknown[];
    const known = this.#shared.get(leaves);
    if (known !== undefined) return known;
    const value = unpackAll(codec.unpack, leaves, this.#shared);
    this.#shared.set(leaves, value);
    return value;
  }

  /** Throws unless all leaves were taken, and none beyond them. */
  end(): void {
    if (this.#place !== this.#leaves.length) throw new ShapeError(`a message has ${this.#leaves.length} values in place of ${this.#place}`);
  }
}

/** Unpacks leaves that are one value. Throws if the value has fewer leaves, or more. */
export function unpackAll<T>(unpack: (from: LeafReader) => T, leaves: readonly unknown[], shared: Map<unknown, unknown>): T {
  const reader = new LeafReader(leaves, shared);
  const value = unpack(reader);
  reader.end();
  return value;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Names properties and types, never values, which may be secret. */
export function mismatch(expected: string, value: unknown): ShapeError {
  const found = isRecord(value) ? `an object of ${Object.keys(value).join(", ")}` : value === null ? "null" : typeof value;
  return new ShapeError(`a message between the threads needs ${expected}, and has ${found}`);
}
