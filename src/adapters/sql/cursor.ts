import { CursorInvalidError } from "../../domain/errors.ts";
import type { Page, PageRequest } from "../../ports/stores/read-store.ts";

const integerCursor = /^\d{1,15}$/;
const pairCursor = /^(?:\d{1,15}\.)?\d{1,15}$/;
const idCursor = /^[a-z]{2,5}_[A-Za-z0-9]{1,40}$/;

/** Cursors are the key of the last row, so that inserts move nothing. Opaque to clients, checked when they come back. */
export function encodeCursor(key: string | number): string {
  return Buffer.from(String(key)).toString("base64url");
}

export function decodeIdCursor(cursor: string): string {
  return decode(cursor, idCursor);
}

export function decodeNumberCursor(cursor: string): number {
  return Number(decode(cursor, integerCursor));
}

/** Two numbers, the more significant first; one alone is the less significant: so the embedded store says it, and what was moved from it has 0 before. */
export function decodePairCursor(cursor: string): readonly [number, number] {
  const [minor = 0, major = 0] = decode(cursor, pairCursor).split(".").map(Number).toReversed();
  return [major, minor];
}

/** A page from one row more than asked for, which says whether there is a next. */
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
