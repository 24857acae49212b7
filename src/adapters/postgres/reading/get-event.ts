import type { EventView } from "../../../ports/stores/read-store.ts";
import type { Queries } from "../connection/queries.ts";
import { eventSelect, readEventViews } from "./selects.ts";

export async function getEvent(db: Queries, accountId: string, eventId: string): Promise<EventView | null> {
  const rows = await db.all(`${eventSelect} where e.id = $1 and e.account_id = $2`, eventId, accountId);
  const [view] = await readEventViews(db, rows);
  return view ?? null;
}
