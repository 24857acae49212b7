import type { SourceDraft, SourceStore, StoredSource } from "../../../ports/stores/source-store.ts";
import { sourceOf } from "../../sql/rows.ts";
import type { Database } from "../connection/database.ts";

export const reads = { listSources };
export const writes = { setSource };

function listSources(db: Database): readonly StoredSource[] {
  return db.all("select * from sources order by name").map(sourceOf);
}

function setSource(db: Database, draft: SourceDraft, expectedRevision: number | null): Awaited<ReturnType<SourceStore["setSource"]>> {
  const written = expectedRevision === null ? insert(db, draft) : update(db, draft, expectedRevision);
  const row = db.get("select * from sources where id = ?", draft.id);
  return written === 0 || row === undefined ? { kind: "conflict" } : { kind: "set", source: sourceOf(row) };
}

function insert(db: Database, draft: SourceDraft): number {
  return db.run(
    `insert into sources (id, name, account_id, kind, base_url, sealed_credential, agent_id, environment, max_polls_per_second, created_at, updated_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (name) do nothing`,
    draft.id,
    draft.name,
    draft.accountId,
    ...settingsOf(draft),
    draft.nowMs,
    draft.nowMs,
  );
}

function update(db: Database, draft: SourceDraft, expectedRevision: number): number {
  return db.run(
    `update sources set kind = ?, base_url = ?, sealed_credential = ?, agent_id = ?, environment = ?, max_polls_per_second = ?,
       updated_at = ?, revision = revision + 1
     where id = ? and name = ? and account_id is ? and revision = ?`,
    ...settingsOf(draft),
    draft.nowMs,
    draft.id,
    draft.name,
    draft.accountId,
    expectedRevision,
  );
}

function settingsOf({ kind, baseUrl, sealedCredential, agentId, environment, maxPollsPerSecond }: SourceDraft) {
  return [kind, baseUrl, sealedCredential, agentId, environment, maxPollsPerSecond] as const;
}
