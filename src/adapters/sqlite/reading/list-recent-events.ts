import type { RingbackEvent } from "../../../domain/events/event.ts";
import type { ReadStore } from "../../../ports/stores/read-store.ts";
import type { Database } from "../connection/database.ts";
import { findPositions } from "./event-positions.ts";
import { eventOf } from "../../sql/rows.ts";
import { eventAt } from "./selects.ts";

/** Events about calls and watches, newest first. */
export function listRecentEvents(db: Database, query: Parameters<ReadStore["listRecentEvents"]>[0]): readonly RingbackEvent[] {
  const { accountId, types, orTerminal, limit } = query;
  const positions = findPositions(db, {
    conditions: [
      ["e.account_id = ?", accountId],
      ["e.watch_id > ?", ""],
    ],
    types,
    orTerminal,
    order: "desc",
    limit,
  });
  return positions.map((position) => eventOf(eventAt(db, position)));
}
