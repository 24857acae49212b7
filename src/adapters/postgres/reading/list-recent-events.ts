import type { RingbackEvent } from "../../../domain/events/event.ts";
import type { ReadStore } from "../../../ports/stores/read-store.ts";
import type { Queries } from "../connection/queries.ts";
import { findEvents } from "./event-positions.ts";
import { eventOf } from "../../sql/rows.ts";

/** Events about calls and watches, newest first. */
export async function listRecentEvents(
  db: Queries,
  query: Parameters<ReadStore["listRecentEvents"]>[0],
): Promise<readonly RingbackEvent[]> {
  const { accountId, types, orTerminal, limit } = query;
  const rows = await findEvents(db, {
    conditions: [
      ["e.account_id = ?", accountId],
      ["e.watch_id > ?", ""],
    ],
    few: false,
    types,
    orTerminal,
    order: "desc",
    limit,
  });
  return rows.map(eventOf);
}
