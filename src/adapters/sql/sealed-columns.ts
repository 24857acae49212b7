import type { SealedColumn } from "../../domain/secrets/sealed-identity.ts";

type ColumnPlace = {
  readonly table: string;
  readonly id: string;
  readonly column: string;
  /** The keyed hash of the same value; it holds as long as the key does, so both are written together. */
  readonly fingerprint: string | null;
};

/** Every column with sealed values. A new one belongs here, with an index as the others have (`…_by_key`), or a rotation forgets it. */
export const sealedColumns: Readonly<Record<SealedColumn, ColumnPlace>> = {
  signing_key: { table: "accounts", id: "id", column: "sealed_signing_key", fingerprint: null },
  secret: { table: "secrets", id: "id", column: "sealed", fingerprint: "fingerprint" },
  headers: { table: "endpoints", id: "id", column: "sealed_headers", fingerprint: "headers_fingerprint" },
  credential: { table: "sources", id: "id", column: "sealed_credential", fingerprint: null },
  hash_key: { table: "hash_keys", id: "name", column: "sealed", fingerprint: null },
  answer: { table: "stored_answers", id: "id", column: "sealed", fingerprint: null },
};

/** The id of the key a value is sealed with, as the indexes have it. */
export function keyIdOf(column: string): string {
  return `substr(${column}, 1, 8)`;
}
