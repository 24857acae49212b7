import { CursorInvalidError } from "../../domain/errors.ts";
import type { FeedCursor, FeedPlace } from "../../domain/events/feed-place.ts";

/** Epoch in hexadecimal, then the place; without an order if that is 0, as with SQLite and for events moved from it. */
const syntax = /^([0-9a-f]{16})\.(?:(\d{1,15})\.)?(\d{1,15})$/;

export function encodeFeedCursor(epoch: string, [order, position]: FeedPlace): string {
  return Buffer.from(order === 0 ? `${epoch}.${position}` : `${epoch}.${order}.${position}`).toString("base64url");
}

/** Throws `CursorInvalidError` for a text that no feed made. */
export function decodeFeedCursor(cursor: string): FeedCursor {
  const [, epoch, order = "0", position] = syntax.exec(Buffer.from(cursor, "base64url").toString("latin1")) ?? [];
  if (epoch === undefined || position === undefined) throw new CursorInvalidError();
  const decoded = { epoch, place: [Number(order), Number(position)] } as const;
  if (encodeFeedCursor(epoch, decoded.place) !== cursor) throw new CursorInvalidError();
  return decoded;
}
