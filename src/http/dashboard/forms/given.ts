import type { Context } from "hono";
import { shapeFault } from "../../operations/json-shape.ts";
import { unprocessable } from "../../operations/problem.ts";
import { maxPlainValues } from "../../operations/request-body.ts";
import { timeField } from "../../schemas/fields.ts";
import type { DashboardEnv } from "../dashboard-env.ts";

/** Returns the text of a field without blanks around it; `undefined` if it is blank. */
export function textOf(c: Context<DashboardEnv>, name: string): string | undefined {
  const text = c.get("form").get(name)?.trim() ?? "";
  return text === "" ? undefined : text;
}

/** Returns what was typed into a field of the form that was sent; `fallback` if none was sent. A form that is shown again keeps its texts so. */
export function typedIn(c: Context<DashboardEnv>, name: string, fallback = ""): string {
  const form = c.get("form") as URLSearchParams | undefined;
  return form === undefined ? fallback : (form.get(name) ?? "");
}

/** Returns the ticked boxes of a name, as `typedIn` returns a text. */
export function tickedIn(c: Context<DashboardEnv>, name: string, fallback: readonly string[] = []): readonly string[] {
  const form = c.get("form") as URLSearchParams | undefined;
  return form === undefined ? fallback : form.getAll(name);
}

/** Returns the lines of a field that are not blank. */
export function linesOf(c: Context<DashboardEnv>, name: string): readonly string[] {
  return (c.get("form").get(name) ?? "")
    .split(/\r\n|\r|\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** Parses one pair a line. The first separator of a line stands between key and value; blank lines are skipped. */
export function pairsOf(
  c: Context<DashboardEnv>,
  name: string,
  { separator, example }: { readonly separator: string; readonly example: string },
): Readonly<Record<string, string>> {
  const pairs = new Map<string, string>();
  for (const line of linesOf(c, name)) {
    const [key = "", ...rest] = line.split(separator);
    if (rest.length === 0) throw unprocessable([{ parameter: name, detail: `must have one pair a line, as in ${example}` }]);
    if (pairs.has(key.trim())) throw unprocessable([{ parameter: name, detail: "has a key more than once" }]);
    pairs.set(key.trim(), rest.join(separator).trim());
  }
  return Object.fromEntries(pairs);
}

/** Parses a field as JSON; `undefined` if it is blank. */
export function jsonOf(c: Context<DashboardEnv>, name: string): unknown {
  const text = textOf(c, name);
  if (text === undefined) return undefined;
  const fault = shapeFault(Buffer.from(text), maxPlainValues);
  if (fault !== null) throw unprocessable([{ parameter: name, detail: fault }]);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw unprocessable([{ parameter: name, detail: `must be JSON: ${error instanceof Error ? error.message : "not readable"}` }]);
  }
}

/** Parses a field as a number; `undefined` if it is blank. */
export function numberOf(c: Context<DashboardEnv>, name: string): number | undefined {
  const text = textOf(c, name);
  if (text === undefined) return undefined;
  if (!/^-?\d+(?:\.\d+)?$/.test(text)) throw unprocessable([{ parameter: name, detail: "must be a number" }]);
  return Number(text);
}

/** Parses a `datetime-local` value. It has no time zone and is read as UTC, as its label states. `undefined` if it is blank. */
export function timeIn(c: Context<DashboardEnv>, name: string): number | undefined {
  const text = textOf(c, name);
  return text === undefined ? undefined : utcOf(name, text);
}

/** Renders a time as the value of a `datetime-local` field, to the minute. */
export function inputTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16);
}

/** Parses the text of a `datetime-local` value to epoch milliseconds. */
export function utcOf(parameter: string, text: string): number {
  const { data } = timeField.safeParse(text.endsWith("Z") ? text : `${text}Z`);
  if (data === undefined) throw unprocessable([{ parameter, detail: "must be a time as in 2026-11-24T12:00" }]);
  return data;
}
