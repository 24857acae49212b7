import { createHash } from "node:crypto";

type Metadata = Readonly<Record<string, string>>;

const hashBytes = 6;

/**
 * Returns the number under which a pair of metadata is indexed: 48 bits of a hash. Different pairs may share it, so a search
 * compares the pairs of what it finds.
 */
export function metadataHash(key: string, value: string): number {
  // A key has no `=`, so two pairs never have the same text.
  return createHash("sha256").update(`${key}=${value}`).digest().readUIntBE(0, hashBytes);
}

/** Returns the hashes of all pairs, each once. */
export function metadataHashes(metadata: Metadata): readonly number[] {
  return [...new Set(Object.entries(metadata).map(([key, value]) => metadataHash(key, value)))];
}

/** Whether metadata has every wanted pair. */
export function hasMetadata(metadata: Metadata, wanted: Metadata): boolean {
  return Object.entries(wanted).every(([key, value]) => Object.hasOwn(metadata, key) && metadata[key] === value);
}
