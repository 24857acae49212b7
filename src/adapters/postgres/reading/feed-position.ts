import type { Row } from "../../sql/rows.ts";
import { feedHorizon } from "./feed-horizon.ts";
import { integer } from "../../sql/rows.ts";

/** The newest event that may be read, as a value of a select; "0.0" before the first. */
export const newestInFeed = `coalesce(
  (select feed_order || '.' || position from events where feed_order < ${feedHorizon} order by feed_order desc, position desc limit 1), '0.0')`;

export function feedPositionOf(row: Row): string {
  return `${integer(row, "feed_order")}.${integer(row, "position")}`;
}

export function decodeFeedPosition(text: string): readonly [order: number, position: number] {
  const [order = 0, position = 0] = text.split(".").map(Number);
  return [order, position];
}
