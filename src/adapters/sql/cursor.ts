import { CursorInvalidError } from "../../domain/errors.ts";
import type { Page, PageRequest } from "../../ports/stores/read-store.ts";

const integerCursor = /^\d{1,16}$/;

/** Encodes the key of the last row as a cursor, so that inserts do not shift pages. Clients treat cursors as opaque. The decoder checks each cursor that a client sends. */
export function encodeCursor(key: string | number): string {
  return Buffer.from(String(key)).toString("base64url");
}

export function decodeNumberCursor(cursor: string): number {
  return Number(decode(cursor, integerCursor));
}

/** Builds a page from at most `limit + 1` rows; the extra row shows that there is a next page. */
export function pageOf<R, T>(rows: readonly R[], request: PageRequest, keyOf: (row: R) => string | number, map: (row: R) => T): Page<T> {
  const shown = rows.slice(0, request.limit);
  const last = shown.at(-1);
  return { data: shown.map(map), nextCursor: rows.length > request.limit && last !== undefined ? encodeCursor(keyOf(last)) : null };
}

function decode(cursor: string, syntax: RegExp): string {
  const key = Buffer.from(cursor, "base64url").toString("latin1");
  if (!syntax.test(key) || encodeCursor(key) !== cursor) throw new CursorInvalidError();
  return key;
}
