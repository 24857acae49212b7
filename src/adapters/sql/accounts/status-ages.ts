import { AgeHistogram } from "../../../domain/freshness/age-histogram.ts";
import type { StatusAges } from "../../../ports/stores/freshness-store.ts";
import type { SqlQueries, SqlTransaction } from "../queries.ts";
import { blob, integer, text } from "../rows.ts";
import type { Row } from "../rows.ts";

export const reads = { listStatusAges };
export const writes = { appendStatusAges };

async function listStatusAges(db: SqlQueries): Promise<readonly StatusAges[]> {
  return (await db.all("select * from status_ages order by source_name, status limit 10000")).map(statusAgesOf);
}

async function appendStatusAges(tx: SqlTransaction, observed: readonly StatusAges[]): Promise<readonly StatusAges[]> {
  const appended = new Map<StatusAges, StatusAges>();
  // In one order, so that two instances do not wait for each other's rows.
  for (const ages of observed.toSorted(byName)) appended.set(ages, await append(tx, ages));
  return observed.map((ages) => appended.get(ages) ?? ages);
}

async function append(tx: SqlTransaction, observed: StatusAges): Promise<StatusAges> {
  const { sourceName, status, changes, ages } = observed;
  const isNew = await tx.run(
    "insert into status_ages (source_name, status, changes, ages) values (?1, ?2, ?3, ?4) on conflict (source_name, status) do nothing",
    sourceName,
    status,
    changes,
    ages,
  );
  if (isNew > 0) return observed;
  const row = await tx.get(`select * from status_ages where source_name = ?1 and status = ?2 ${tx.rowLock}`, sourceName, status);
  if (row === undefined) throw new Error("the ages of a status were deleted while they were appended to");
  const sum = AgeHistogram.fromStored(statusAgesOf(row));
  sum.append(AgeHistogram.fromStored(observed));
  const stored = { sourceName, status, ...sum.toStored() };
  await tx.run(
    "update status_ages set changes = ?3, ages = ?4 where source_name = ?1 and status = ?2",
    sourceName,
    status,
    stored.changes,
    stored.ages,
  );
  return stored;
}

function byName(one: StatusAges, other: StatusAges): number {
  const [a, b] = [one, other].map(({ sourceName, status }) => `${sourceName} ${status}`) as [string, string];
  return a < b ? -1 : 1;
}

function statusAgesOf(row: Row): StatusAges {
  return { sourceName: text(row, "source_name"), status: text(row, "status"), changes: integer(row, "changes"), ages: blob(row, "ages") };
}
