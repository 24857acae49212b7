import type { Mark } from "../../domain/deliveries/marks.ts";
import type { OverdueWatch } from "../../domain/events/operational-events.ts";
import { watchThroughMark } from "./call-marks.ts";
import { markedWatchColumns } from "./marks/marked-rows.ts";
import type { Row } from "./rows.ts";
import { id, text, watchOf } from "./rows.ts";

/** Columns of a watch `w` and its call `c` for the functions below. */
export const overdueColumns = `${markedWatchColumns}, w.account_id, w.call_id, w.events, w.metadata, w.trace, w.sequence, w.end_reason, w.ended_at,
  null as callback_url, c.source_name, c.call_sid`;

/** Whether no running mark has ended the watch. `gone` is the mark of the 410 that did. */
export function isStillActive(row: Row, gone: Mark | null): boolean {
  return gone === null && watchThroughMark(watchOf(row), row).status === "active";
}

export function overdueWatchOf(row: Row): OverdueWatch {
  return {
    accountId: id(row, "acc", "account_id"),
    watchId: id(row, "wch", "id"),
    callSid: text(row, "call_sid"),
    source: text(row, "source_name"),
  };
}
