import type { Context } from "hono";
import type { DashboardEnv } from "./dashboard-env.ts";

/** Rows that one read of the store asks for. */
const readSize = 200;

/** A list as CSV: its columns are paths of values in the JSON that the API shows (`call.status` is the column `call_status`). */
export type CsvList<View> = {
  /** Name of the file without `.csv`. */
  readonly name: string;
  readonly columns: readonly string[];
  /** Reads one page, as the list of the dashboard does. */
  readonly read: (page: {
    readonly limit: number;
    readonly cursor: string | null;
  }) => Promise<{ readonly data: readonly View[]; readonly nextCursor: string | null }>;
  readonly json: (view: View) => object;
};

/** Matches a number, as a spreadsheet reads it. */
const number = /^[+-]\d+(?:[.,]\d+)?(?:e[+-]?\d+)?$/i;
/** Matches a telephone number: a plus, digits, and what separates groups of them. */
const telephoneNumber = /^\+\d[\d ().-]*$/;

/** Matches a text that a spreadsheet would run or split. Some read the full-width forms of the signs as the signs. */
const formula = /^[=@\t\r\n\uff1d\uff20\uff0b\uff0d]/;

/**
 * Writes a value as a cell (RFC 4180, section 2). A spreadsheet would run a text that begins like a formula, so such a text
 * has an apostrophe in front (OWASP, "CSV Injection").
 */
export function cellOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" ? value : typeof value === "object" ? JSON.stringify(value) : String(value);
  const isSigned = /^[+-]/.test(text) && !number.test(text) && !telephoneNumber.test(text);
  const safe = formula.test(text) || isSigned ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * Answers a whole list as CSV, from `cursor` on. It is read page by page as the client takes it, so that it costs no memory,
 * and reading ends with the connection or the session. The first page is read before the answer begins, so that a refused one is a
 * page of its own. Rejects as `read` does.
 */
export async function csvAnswer<View>(c: Context<DashboardEnv>, list: CsvList<View>, cursor: string | null): Promise<Response> {
  const { signal } = c.req.raw;
  const session = c.get("session");
  const first = await list.read({ limit: readSize, cursor });
  async function* lines() {
    yield `${list.columns.map((column) => column.replaceAll(".", "_")).join(",")}\r\n`;
    for (let { data, nextCursor } = first; ;) {
      const rows = data.map((view) => lineOf(list.json(view), list.columns));
      if (rows.length > 0) yield rows.join("");
      if (nextCursor === null || signal.aborted) return;
      // A slow client takes a list for longer than its session lives. The connection breaks, so that what came is not taken for the whole.
      if (!(await session.isOpen())) throw new Error("the session has ended");
      ({ data, nextCursor } = await list.read({ limit: readSize, cursor: nextCursor }));
    }
  }
  const encoder = new TextEncoderStream();
  return c.body(ReadableStream.from(lines()).pipeThrough(encoder), 200, {
    "content-type": "text/csv; charset=utf-8; header=present",
    "content-disposition": `attachment; filename="${list.name}.csv"`,
  });
}

function lineOf(json: object, columns: readonly string[]): string {
  return `${columns.map((column) => cellOf(valueAt(json, column.split(".")))).join(",")}\r\n`;
}

function valueAt(value: unknown, [key, ...rest]: readonly string[]): unknown {
  if (key === undefined) return value;
  return typeof value === "object" && value !== null ? valueAt((value as Readonly<Record<string, unknown>>)[key], rest) : null;
}
