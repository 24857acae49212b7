import type { EventView } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import { eventSelect, readEventView } from "./selects.ts";

export function getEvent(db: Database, accountId: string, eventId: string): EventView | null {
  const row = db.get(`${eventSelect} where e.id = ? and e.account_id = ?`, eventId, accountId);
  return row === undefined ? null : readEventView(db, row);
}
