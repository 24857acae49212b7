import type { UpstreamKind } from "../../../domain/source-settings.ts";
import type { StoredSource } from "../../../ports/source-store.ts";
import type { Row } from "../database.ts";
import { blob, integer, text, textOrNull } from "./rows.ts";

export function sourceOf(row: Row): StoredSource {
  return {
    id: text(row, "id"),
    name: text(row, "name"),
    accountId: textOrNull(row, "account_id"),
    kind: text(row, "kind") as UpstreamKind,
    baseUrl: text(row, "base_url"),
    sealedCredential: blob(row, "sealed_credential"),
    agentId: textOrNull(row, "agent_id"),
    environment: textOrNull(row, "environment"),
    maxPollsPerSecond: integer(row, "max_polls_per_second"),
    revision: integer(row, "revision"),
    createdAtMs: integer(row, "created_at"),
    updatedAtMs: integer(row, "updated_at"),
  };
}
