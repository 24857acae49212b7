import { decodeId } from "../../../domain/ids.ts";
import type { RemoveSourceResult, SourceDraft, SourceStore, StoredSource } from "../../../ports/stores/source-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { recordAudit } from "../audit/audit.ts";
import { id, idOrNull, integer, sourceOf } from "../rows.ts";
import type { Row } from "../rows.ts";

export const reads = { listSources };
export const writes = { setSource, removeSource };

async function listSources(db: SqlQueries): Promise<readonly StoredSource[]> {
  return (await db.all("select * from sources order by name")).map(sourceOf);
}

async function setSource(tx: SqlTransaction, draft: SourceDraft, expectedRevision: number | null): ReturnType<SourceStore["setSource"]> {
  const before = expectedRevision === null ? undefined : await tx.get("select * from sources where id = ?1", decodeId(draft.id));
  const row = expectedRevision === null ? await insert(tx, draft) : await update(tx, draft, expectedRevision);
  if (row === undefined) return { kind: "conflict" };
  tx.changed?.add("sources");
  const changed = before === undefined ? null : changedSettings(sourceOf(before), draft);
  if (changed === null || changed.length > 0) {
    const { id, name, kind, accountId, by, nowMs } = draft;
    const detail = changed === null ? { name, kind, created: true } : { name, changed };
    await recordAudit(tx, by, { accountId, action: "source.changed", target: { kind: "source", id }, detail, nowMs });
  }
  return { kind: "set", source: sourceOf(row) };
}

/** Settings of a source, as the command line names them. A credential is named and never shown. */
const settingNames = {
  kind: "kind",
  baseUrl: "base_url",
  sealedCredential: "credential",
  agentId: "agent_id",
  environment: "environment",
  definition: "definition",
  statusMap: "status_map",
  maxPollsPerSecond: "max_polls_per_second",
} as const satisfies Partial<Record<keyof SourceDraft, string>>;

function changedSettings(before: StoredSource, draft: SourceDraft): readonly string[] {
  const differs = (key: keyof typeof settingNames) => {
    const [old, present] = [before[key], draft[key]];
    return old instanceof Uint8Array && present instanceof Uint8Array ? Buffer.compare(old, present) !== 0 : old !== present;
  };
  return Object.entries(settingNames).flatMap(([key, name]) => (differs(key as keyof typeof settingNames) ? [name] : []));
}

async function insert(tx: SqlTransaction, draft: SourceDraft): Promise<Row | undefined> {
  return tx.get(
    `insert into sources (id, name, account_id, kind, base_url, sealed_credential, agent_id, environment, definition, status_map, max_polls_per_second, created_at, updated_at)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12) on conflict (name) do nothing returning *`,
    ...columnsOf(draft),
  );
}

async function update(tx: SqlTransaction, draft: SourceDraft, expectedRevision: number): Promise<Row | undefined> {
  return tx.get(
    `update sources set kind = ?4, base_url = ?5, sealed_credential = ?6, agent_id = ?7, environment = ?8, definition = ?9, status_map = ?10,
       max_polls_per_second = ?11, updated_at = ?12, revision = revision + 1
     where id = ?1 and name = ?2 and account_id is not distinct from ?3 and revision = ?13 and removed_at is null returning *`,
    ...columnsOf(draft),
    expectedRevision,
  );
}

/** Marks a source as removed. The counts are read in the transaction that marks it, so that no watch is overlooked. */
async function removeSource(
  tx: SqlTransaction,
  { name, force, by, nowMs }: Parameters<SourceStore["removeSource"]>[0],
): Promise<RemoveSourceResult> {
  const source = await tx.get(`select id, account_id from sources where name = ?1 and removed_at is null ${tx.rowLock}`, name);
  if (source === undefined) return { kind: "unknown" };
  const counts = await tx.get(
    `select (select count(*) from watches w join calls c on c.id = w.call_id where w.status = 'active' and c.source_name = ?1) as watches,
       (select count(*) from placings where state = 'sending' and source_name = ?1) as placings`,
    name,
  );
  const [activeWatches, placings] = counts === undefined ? [0, 0] : [integer(counts, "watches"), integer(counts, "placings")];
  if (!force && activeWatches + placings > 0) return { kind: "busy", activeWatches, placings };
  await tx.run("update sources set removed_at = ?2, updated_at = ?2, revision = revision + 1 where id = ?1", integer(source, "id"), nowMs);
  await tx.run("delete from status_ages where source_name = ?1", name);
  tx.changed?.add("sources");
  await recordAudit(tx, by, {
    accountId: idOrNull(source, "acc", "account_id"),
    action: "source.removed",
    target: { kind: "source", id: id(source, "src", "id") },
    detail: { name, active_watches: activeWatches },
    nowMs,
  });
  return { kind: "removed", activeWatches };
}

function columnsOf(draft: SourceDraft) {
  const { id, name, accountId, kind, baseUrl, sealedCredential, agentId, environment, definition, statusMap, maxPollsPerSecond, nowMs } =
    draft;
  return [
    decodeId(id),
    name,
    accountId === null ? null : decodeId(accountId),
    kind,
    baseUrl,
    sealedCredential,
    agentId,
    environment,
    definition,
    statusMap,
    maxPollsPerSecond,
    nowMs,
  ] as const;
}
