import type { Account } from "../../../ports/account-store.ts";
import type { Row } from "../database.ts";
import { blob, flag, integer, text } from "./rows.ts";

export function accountOf(row: Row): Account {
  return {
    id: text(row, "id"),
    name: text(row, "name"),
    usesDefaultSource: flag(row, "uses_default_source"),
    sealedSigningKey: blob(row, "sealed_signing_key"),
    publicKey: text(row, "public_key"),
    createdAtMs: integer(row, "created_at"),
  };
}
