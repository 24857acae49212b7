import { endingOf, throughMark } from "../../domain/calls/call-mark.ts";
import type { CallMark } from "../../domain/calls/call-mark.ts";
import type { Watch } from "../../domain/calls/watch.ts";
import { integerOrNull, textOrNull } from "./rows.ts";
import type { Row } from "./rows.ts";

/** Reads the mark in a column of a call; `null` if none is running. */
export function markOf(row: Row, column = "mark"): CallMark | null {
  const text = textOrNull(row, column);
  return text === null ? null : (JSON.parse(text) as CallMark);
}

/** Returns a watch as the mark of its call shows it. Needs `spared_by` of the watch, and `c_mark` of its call. */
export function watchThroughMark(watch: Watch, row: Row): Watch {
  return row["c_mark"] === null ? watch : throughMark(watch, markOf(row, "c_mark"), integerOrNull(row, "spared_by"));
}

/** Selects the marks of 410s that run on watches of a call (`CallMark.gone`). */
export const goneMarksOfCall = `select m.id from marks m where m.kind = 'gone_watches'
  and exists (select 1 from watches w where w.call_id = ?1 and w.account_id = m.account_id and w.endpoint_id = m.target_id)`;

type SqlCondition = { readonly condition: string; readonly values: readonly number[] };

/**
 * Returns the SQL condition that a mark leaves an active watch `w` active, as `throughMark` does. Its values have the
 * placeholders `?`, or those from `first` on (`$4`, `$5`).
 */
export function leftActive(mark: CallMark | null, first: `$${number}` | "?" = "?"): SqlCondition {
  const ending = mark === null ? null : endingOf(mark);
  if (mark === null || ending === null) return { condition: "true", values: [] };
  const place = (index: number) => (first === "?" ? "?" : `$${Number(first.slice(1)) + index}`);
  const spared = `coalesce(w.spared_by, -1) = ${place(0)}`;
  if (ending.kind === "expire") return { condition: `(${spared} or w.expires_at > ${place(1)})`, values: [mark.version, mark.nowMs] };
  if (ending.kind !== "end" || ending.spares === null) return { condition: spared, values: [mark.version] };
  const { afterMs, untilMs } = ending.spares;
  return {
    condition: `(${spared} or (w.created_at > ${place(1)} and w.created_at <= ${place(2)}))`,
    values: [mark.version, afterMs, untilMs],
  };
}
