import type { Account } from "../../../ports/account-store.ts";
import type { Row } from "../database.ts";
import { blob, integer, text } from "./rows.ts";

export function accountOf(row: Row): Account {
  return {
    id: text(row, "id"),
    name: text(row, "name"),
    usesDefaultSource: row["uses_default_source"] === 1,
    sealedSigningKey: blob(row, "sealed_signing_key"),
    publicKey: text(row, "public_key"),
    createdAtMs: integer(row, "created_at"),
  };
}
