import { accountKinds } from "../../../domain/deliveries/marks.ts";
import type { Mark, MarkDetail, MarkKind } from "../../../domain/deliveries/marks.ts";
import type { MarkSizes } from "../../../domain/deliveries/retry-policy.ts";
import type { Notice, WatchedCall } from "../../../ports/stores/call-store.ts";
import type { MarkStore } from "../../../ports/stores/mark-store.ts";
import type { SqlQueries } from "../queries.ts";
import { id, integer, json, text } from "../rows.ts";
import type { Row } from "../rows.ts";

export const reads = { listMarkedAccounts };

/** Three hundred rows take SQLite about 10 ms and Postgres about 30 ms. */
export const defaultMarkSizes: MarkSizes = { threshold: 500, portion: 300 };

export const marksOfAccount = "select * from marks where account_id = ?1 order by id";
/** The mark that is carried out next: those of the account itself go first, because calls wait for them. */
export const nextMark = `select * from marks where account_id = ?1 order by case when kind in (${[...accountKinds].map((kind) => `'${kind}'`).join(", ")}) then 0 else 1 end, id limit 1`;

/** Inserts a mark as the newest of its account: a mark waits for those before it. */
export const insertMark = `insert into marks (id, kind, account_id, target_id, last_id, remaining, detail, created_at)
  select case when max(id) >= ?1 then max(id) + 1 else ?1 end, ?2, ?3, ?4, ?5, ?6, ?7, ?8 from marks where account_id = ?3`;

export function markOf(row: Row): Mark {
  return {
    key: integer(row, "id"),
    kind: text(row, "kind") as MarkKind,
    accountKey: integer(row, "account_id"),
    targetKey: integer(row, "target_id"),
    lastKey: integer(row, "last_id"),
    doneKey: integer(row, "done_id"),
    remaining: integer(row, "remaining"),
    detail: json<MarkDetail>(row, "detail"),
    createdAtMs: integer(row, "created_at"),
  };
}

/** Returns the marks of an account, the oldest first. */
export async function readMarks(db: SqlQueries, accountKey: number): Promise<readonly Mark[]> {
  return (await db.all(marksOfAccount, accountKey)).map(markOf);
}

async function listMarkedAccounts(db: SqlQueries, limit: number): ReturnType<MarkStore["listMarkedAccounts"]> {
  const rows = await db.all("select account_id from marks group by account_id order by min(id) limit ?1", limit);
  return rows.map((row) => id(row, "acc", "account_id"));
}

/** Number of rows that running marks have settled and that the counters still count as they were. */
export type Settling = { readonly watches: number; readonly deliveries: number };

export const settlingSelect = `select coalesce(sum(case when kind = 'gone_watches' then remaining end), 0) as watches,
  coalesce(sum(case when kind = 'gone_deliveries' then remaining end), 0) as deliveries from marks`;

export function settlingOf(row: Row | undefined): Settling {
  return row === undefined ? { watches: 0, deliveries: 0 } : { watches: Number(row["watches"]), deliveries: Number(row["deliveries"]) };
}

/** Moves what marks have canceled from one count to `canceled`. */
export function settle(counts: Readonly<Record<string, number>>, from: string, count: number): Readonly<Record<string, number>> {
  return { ...counts, [from]: (counts[from] ?? 0) - count, canceled: (counts["canceled"] ?? 0) + count };
}

/** Result of a portion. `doneKey` is the last key that it reached; `null` if the mark has no row left. */
export type MarkPortion = {
  readonly doneKey: number | null;
  readonly rows: number;
  /** Rows that the counters counted as they were. */
  readonly settled?: number;
  readonly unwatchedCallIds?: readonly string[];
  readonly resumedCalls?: readonly WatchedCall[];
  readonly notices?: readonly Notice[];
};
