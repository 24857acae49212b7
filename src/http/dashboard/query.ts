import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { checkParameters } from "../operations/operation.ts";
import { metadataKey } from "../schemas/parts.ts";
import { callSidField, cursorQuery } from "../schemas/fields.ts";
import type { DashboardEnv } from "./dashboard-env.ts";

/** Reads an empty field as absent, because a form sends all its fields. */
const orBlank = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess(
    (value) => (typeof value === "string" && value.trim() === "" ? undefined : typeof value === "string" ? value.trim() : value),
    schema.optional(),
  );

export const choiceField = <const Names extends readonly [string, ...string[]]>(names: Names) =>
  orBlank(z.enum(names, `must be one of ${names.join(", ")}`));
export const idField = orBlank(z.string().max(64, "is not an id"));
/** A name or word of a filter, as an upstream may have written it. */
export const wordField = orBlank(z.string().max(128, "is not a name"));
export const sidField = orBlank(callSidField);
export const cursorField = orBlank(cursorQuery);

/** Text of a `datetime-local` field. */
export const timeText = orBlank(z.string().max(64, "is not a time"));

export const cursorOnly = z.object({ cursor: cursorField });

const pairMaxLength = 400;

/** Returns the pair of metadata that a text names, as in `lead_id:00Q5g000`; `null` if it names none. */
export function pairOf(text: string): Readonly<Record<string, string>> | null {
  const at = text.search(/[:=]/);
  const key = text.slice(0, Math.max(0, at)).trim();
  return metadataKey.test(key) ? { [key]: text.slice(at + 1).trim() } : null;
}

export const pairField = orBlank(
  z
    .string()
    .max(pairMaxLength, `must have at most ${pairMaxLength} characters`)
    .refine((text) => pairOf(text) !== null, "must be a key and a value, as in lead_id:00Q5g000"),
);

/** Parses the parameters of a page and ignores others. An invalid one is a 422. */
export function readParameters<Schema extends z.ZodType>(c: Context<DashboardEnv>, schema: Schema): z.infer<Schema> {
  return checkParameters(c, { query: schema }).query as z.infer<Schema>;
}
