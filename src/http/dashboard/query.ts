import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { checkParameters } from "../operations/operation.ts";
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
export const idField = orBlank(z.string().max(64, "is no id"));
export const sidField = orBlank(callSidField);
export const cursorField = orBlank(cursorQuery);

export const cursorOnly = z.object({ cursor: cursorField });

/** Parses the parameters of a page and ignores others. An invalid one is a 422. */
export function readParameters<Schema extends z.ZodType>(c: Context<DashboardEnv>, schema: Schema): z.infer<Schema> {
  return checkParameters(c, { query: schema }).query as z.infer<Schema>;
}
