import type { IdPrefix } from "../../domain/ids.ts";
import type { SealedColumn } from "../../domain/secrets/sealed-identity.ts";

type ColumnLocation = {
  readonly table: string;
  readonly id: string;
  /** Prefix of the ids; `null` if the column `id` is text. */
  readonly prefix: IdPrefix | null;
  readonly column: string;
  /** Column with the keyed hash of the sealed value; `null` if the table has none. A key rotation changes both columns, so one statement writes both. */
  readonly fingerprint: string | null;
};

/** All columns with sealed values. A key rotation finds only columns listed here, each with an index `…_by_key`. */
export const sealedColumns: Readonly<Record<SealedColumn, ColumnLocation>> = {
  signing_key: { table: "accounts", id: "id", prefix: "acc", column: "sealed_signing_key", fingerprint: null },
  secret: { table: "secrets", id: "id", prefix: "sec", column: "sealed", fingerprint: "fingerprint" },
  headers: { table: "endpoints", id: "id", prefix: "ep", column: "sealed_headers", fingerprint: "headers_fingerprint" },
  credential: { table: "sources", id: "id", prefix: "src", column: "sealed_credential", fingerprint: null },
  hash_key: { table: "hash_keys", id: "name", prefix: null, column: "sealed", fingerprint: null },
  placing: { table: "placings", id: "id", prefix: "plc", column: "sealed_request", fingerprint: null },
  answer: { table: "stored_answers", id: "id", prefix: null, column: "sealed", fingerprint: null },
};

/** Returns the SQL expression for the id of the key that sealed a value, as used by the indexes. */
export function keyIdOf(column: string): string {
  return `substr(${column}, 1, 8)`;
}
