import { eventReads } from "../../sql/reading/events.ts";
import type { Queries } from "../connection/queries.ts";
import { unindexedKey } from "./page.ts";
import { findEvents } from "./positions.ts";
import { eventSelect, hasEventId, readEventViews, readTimelineEvents } from "./selects.ts";

export const reads = eventReads<Queries>({
  eventSelect,
  isOne: `${hasEventId("e.id", "?1")} and ${unindexedKey("e.account_id")} = ?2`,
  readEventViews,
  readTimelineEvents,
  findEvents: (db, query) => findEvents(db, { ...query, after: [0, 0], before: Number.MAX_SAFE_INTEGER, few: false }),
});
