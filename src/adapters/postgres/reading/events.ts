import { eventReads } from "../../sql/reading/events.ts";
import type { Queries } from "../connection/queries.ts";
import { findEvents } from "./positions.ts";
import { eventSelect, readEventViews } from "./selects.ts";

export const reads = eventReads<Queries>({
  eventSelect,
  readEventViews,
  findEvents: (db, query) => findEvents(db, { ...query, few: false }),
});
