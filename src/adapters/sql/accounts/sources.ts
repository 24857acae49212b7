import { decodeId } from "../../../domain/ids.ts";
import type { SourceDraft, SourceStore, StoredSource } from "../../../ports/stores/source-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { sourceOf } from "../rows.ts";
import type { Row } from "../rows.ts";

export const reads = { listSources };
export const writes = { setSource };

async function listSources(db: SqlQueries): Promise<readonly StoredSource[]> {
  return (await db.all("select * from sources order by name")).map(sourceOf);
}

async function setSource(tx: SqlTransaction, draft: SourceDraft, expectedRevision: number | null): ReturnType<SourceStore["setSource"]> {
  const row = expectedRevision === null ? await insert(tx, draft) : await update(tx, draft, expectedRevision);
  if (row === undefined) return { kind: "conflict" };
  tx.changed?.add("sources");
  return { kind: "set", source: sourceOf(row) };
}

async function insert(tx: SqlTransaction, draft: SourceDraft): Promise<Row | undefined> {
  return tx.get(
    `insert into sources (id, name, account_id, kind, base_url, sealed_credential, agent_id, environment, max_polls_per_second, created_at, updated_at)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10) on conflict (name) do nothing returning *`,
    ...columnsOf(draft),
  );
}

async function update(tx: SqlTransaction, draft: SourceDraft, expectedRevision: number): Promise<Row | undefined> {
  return tx.get(
    `update sources set kind = ?4, base_url = ?5, sealed_credential = ?6, agent_id = ?7, environment = ?8, max_polls_per_second = ?9,
       updated_at = ?10, revision = revision + 1
     where id = ?1 and name = ?2 and account_id is not distinct from ?3 and revision = ?11 returning *`,
    ...columnsOf(draft),
    expectedRevision,
  );
}

function columnsOf(draft: SourceDraft) {
  const { id, name, accountId, kind, baseUrl, sealedCredential, agentId, environment, maxPollsPerSecond, nowMs } = draft;
  return [
    decodeId(id),
    name,
    accountId === null ? null : decodeId(accountId),
    kind,
    baseUrl,
    sealedCredential,
    agentId,
    environment,
    maxPollsPerSecond,
    nowMs,
  ] as const;
}
