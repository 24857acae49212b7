import { eventReads } from "../../sql/reading/events.ts";
import type { Queries } from "../connection/queries.ts";
import { findEvents } from "./positions.ts";
import { eventSelect, hasEventId, readEventViews } from "./selects.ts";

export const reads = eventReads<Queries>({
  eventSelect,
  hasId: hasEventId("e.id", "?1"),
  readEventViews,
  findEvents: (db, query) => findEvents(db, { ...query, few: false }),
});
