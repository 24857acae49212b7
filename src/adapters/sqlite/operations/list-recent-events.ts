import type { RingbackEvent } from "../../../domain/event.ts";
import type { ReadStore } from "../../../ports/read-store.ts";
import type { Database } from "../database.ts";
import { eventOf } from "../tables/rows.ts";
import { eventSelect } from "../tables/views.ts";

export function listRecentEvents(db: Database, query: Parameters<ReadStore["listRecentEvents"]>[0]): readonly RingbackEvent[] {
  return db
    .all(
      `${eventSelect} where e.account_id = ?1 and e.watch_id is not null
         and (?2 is null or e.type in (select value from json_each(?2)) or (?3 = 1 and e.terminal = 1))
       order by e.position desc limit ?4`,
      query.accountId,
      query.types === null ? null : JSON.stringify(query.types),
      query.orTerminal,
      query.limit,
    )
    .map(eventOf);
}
