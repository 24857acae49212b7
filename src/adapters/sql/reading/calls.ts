import { decodeId } from "../../../domain/ids.ts";
import type { ReadStore } from "../../../ports/stores/read-store.ts";
import type { SqlQueries } from "../queries.ts";
import { callStatusOf, text } from "../rows.ts";

export const reads = { getCall };

async function getCall(db: SqlQueries, query: Parameters<ReadStore["getCall"]>[0]): ReturnType<ReadStore["getCall"]> {
  const row = await db.get(
    `select c.* from calls c where c.source_name = ?1 and c.call_sid = ?2 and c.scope in (0, ?3)
       and (select 1 from watches w where w.call_id = c.id and w.account_id = ?3 and w.status <> 'purged' limit 1) is not null`,
    query.sourceName,
    query.callSid,
    decodeId(query.accountId),
  );
  return row === undefined ? null : { callSid: text(row, "call_sid"), sourceName: text(row, "source_name"), status: callStatusOf(row) };
}
