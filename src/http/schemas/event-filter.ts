import { z } from "@hono/zod-openapi";
import { filterByNames, hookFilterNames, watchFilterNames } from "../../domain/events/event-filter.ts";
import type { EventFilter } from "../../domain/events/event-filter.ts";

const nameOf = (names: readonly string[]) => z.enum(names as readonly [string, ...string[]], `must be one of ${names.join(", ")}`);

const listOf = (names: readonly string[]) =>
  z
    .array(nameOf(names), "must be a list of event types or groups")
    .min(1, "must name at least one type, or be null for all")
    .max(100, "must name at most 100 types");

const watchEventsField = listOf(watchFilterNames)
  .nullable()
  .openapi({
    description: "List of types or groups (`call.*`, `watch.*`, `terminal`); null means all. The four `watch.*` endings pass every filter.",
    example: ["terminal"],
  });

const hookEventsField = listOf(hookFilterNames)
  .nullable()
  .openapi({
    description: "List of types or groups; null means every event of a call or watch. Operational types must be named.",
    example: ["terminal"],
  });

/** Filter of a hook as automation tools send it: one name or a list. */
const hookEventField = z
  .unknown()
  .transform((value, context): readonly string[] | null => {
    const result = typeof value === "string" ? nameOf(hookFilterNames).safeParse(value) : hookEventsField.safeParse(value);
    if (result.success) return typeof result.data === "string" ? [result.data] : result.data;
    for (const { path, message } of result.error.issues) context.addIssue({ code: "custom", path: [...path], message });
    return z.NEVER;
  })
  .openapi({ type: ["string", "array", "null"], items: { type: "string" }, description: "Read as `events`: one type or a list." });

/** The fields of a watch's body that make its filter. */
export const watchFilterFields = { events: watchEventsField.optional() };
/** The fields of a hook's body that make its filter. */
export const hookFilterFields = { events: hookEventsField.optional(), event: hookEventField.optional() };
/** The fields of an answer that show a filter; `filterToJson` fills them. */
export const filterAnswerFields = {
  events: z.array(z.string()).nullable().openapi({ description: "Types or groups that are sent; null for all." }),
};

type Names = readonly string[] | null | undefined;

export function watchFilterOf(body: { readonly events?: Names }): EventFilter {
  return filterByNames(body.events ?? null);
}

/** Returns the filter of a hook's body, and the keys that were read. `events` takes precedence over `event`. */
export function hookFilterOf(body: { readonly events?: Names; readonly event?: Names }): {
  readonly filter: EventFilter;
  readonly keys: readonly string[];
} {
  const key = body.events === undefined ? "event" : "events";
  return { filter: filterByNames(body[key] ?? null), keys: [key] };
}

/** Filter in one parameter: names, separated by commas. */
const filterQuery = (names: readonly string[]) =>
  z
    .string()
    .transform((list) => list.split(","))
    .pipe(listOf(names))
    .transform(filterByNames)
    .optional()
    .openapi({ type: "string", description: "Types or groups, separated by commas.", example: "terminal" });

export const hookFilterQuery = filterQuery(hookFilterNames);
/** Filter of the feed. It may also name test events, because the feed has them; a hook may not. */
export const feedFilterQuery = filterQuery([...hookFilterNames, "endpoint.test"]);
