import { z } from "@hono/zod-openapi";
import { filterByNames, filterOfHook, hookFilterNames, watchFilterNames } from "../../domain/events/event-filter.ts";
import type { EventFilter } from "../../domain/events/event-filter.ts";
import { maxWhereCharacters, maxWhereTerms, maxWhereTexts, metadataKeyOf, whereFields, whereFromJson } from "../../domain/events/where.ts";
import type { WhereTerm, WhereTest } from "../../domain/events/where.ts";
import { isBlank, withoutProto } from "./fields.ts";
import { metadataKey } from "./parts.ts";

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

const hookEventsDocument = {
  type: ["array", "null"] as ["array", "null"],
  items: { type: "string" as const, enum: [...hookFilterNames] },
  minItems: 1,
  maxItems: 100,
};

const hookEventsField = z
  // Blank names are dropped after the check, so that pointers count the names as they were sent.
  .array(
    z.preprocess((name) => (isBlank(name) ? null : name), nameOf(hookFilterNames).nullable()),
    "must be a list of event types or groups",
  )
  .max(100, "must name at most 100 types")
  .transform((names) => names.filter((name) => name !== null))
  .nullable()
  .openapi({
    ...hookEventsDocument,
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

const whereText = z
  .string("must be a string")
  .refine((text) => [...text].length <= maxWhereCharacters, `must have at most ${maxWhereCharacters} characters`)
  .openapi({ maxLength: maxWhereCharacters });
const whereTexts = z
  .array(whereText, "must be a list of strings")
  .min(1, "must have at least one string")
  .max(maxWhereTexts, `must have at most ${maxWhereTexts} strings`);
const whereForms = 'must be a string, or an object of one of "in" (a list), "prefix" and "not"';
const whereNotes = {
  in: "The value is one of these texts.",
  prefix: "The value begins with this text.",
  not: "The value is another text.",
} as const;
const whereObjects = [
  z.strictObject({ in: whereTexts.openapi({ description: whereNotes.in }) }),
  z.strictObject({ prefix: whereText.openapi({ description: whereNotes.prefix }) }),
  z.strictObject({ not: whereText.openapi({ description: whereNotes.not }) }),
] as const;
const whereTest = z.union([whereText, ...whereObjects]);

/** Reads one term, with the pointers of its faults: a union would name none of them. */
function readTest(value: unknown): z.ZodSafeParseResult<WhereTest> {
  const form = typeof value === "string" ? whereText : whereObjects.find(({ shape }) => isObjectOf(value, Object.keys(shape)));
  return (form ?? z.never(whereForms)).safeParse(value);
}

function isObjectOf(value: unknown, keys: readonly string[]): boolean {
  return typeof value === "object" && value !== null && keys.join() === Object.keys(value).join();
}

const isWhereField = (field: string) => {
  const key = metadataKeyOf(field);
  return key === null ? (whereFields as readonly string[]).includes(field) : metadataKey.test(key);
};

const whereDocument = {
  propertyNames: { type: "string", pattern: `^(${whereFields.join("|")}|metadata\\.[A-Za-z0-9_]{1,40})$` },
} as const;

const whereField = withoutProto
  .pipe(z.record(z.string(), z.unknown(), "must be an object"))
  .transform((where, context): readonly WhereTerm[] => {
    const entries = Object.entries(where);
    const refuse = (path: readonly PropertyKey[], message: string) => context.addIssue({ code: "custom", path: [...path], message });
    if (entries.length > maxWhereTerms) refuse([], `must have at most ${maxWhereTerms} terms`);
    const tests = entries.slice(0, maxWhereTerms).map(([field, value]): [string, WhereTest] => {
      if (!isWhereField(field)) refuse([field], `is not one of ${whereFields.join(", ")} and metadata.<key>`);
      const test = readTest(value);
      for (const issue of test.error?.issues ?? []) refuse([field, ...issue.path], issue.message);
      return [field, test.data ?? ""];
    });
    return whereFromJson(Object.fromEntries(tests));
  })
  .openapi({
    type: "object",
    additionalProperties: {
      anyOf: [
        { type: "string", maxLength: maxWhereCharacters },
        {
          type: "object",
          properties: {
            in: {
              type: "array",
              description: whereNotes.in,
              minItems: 1,
              maxItems: maxWhereTexts,
              items: { type: "string", maxLength: maxWhereCharacters },
            },
          },
          required: ["in"],
          additionalProperties: false,
        },
        ...(["prefix", "not"] as const).map((name) => ({
          type: "object" as const,
          properties: { [name]: { type: "string" as const, description: whereNotes[name], maxLength: maxWhereCharacters } },
          required: [name],
          additionalProperties: false,
        })),
      ],
    },
    ...whereDocument,
    maxProperties: maxWhereTerms,
    description:
      "Up to 8 conditions on `source`, `status`, `reason` and `metadata.<key>`, which must all hold. Decided once, on the event that the hook would be sent: that of the account's oldest active watch of the call. What is absent or null is the empty text. Operational events pass.",
    example: { status: "failure", "metadata.team": { in: ["north", "south"] } },
  });

/** The fields of a watch's body that make its filter. */
export const watchFilterFields = { events: watchEventsField.optional() };
/** The fields of a hook's body that make its filter. */
export const hookFilterFields = { events: hookEventsField.optional(), event: hookEventField.optional(), where: whereField.optional() };
/** The fields of an answer that show a filter; `filterToJson` fills them. */
export const filterAnswerFields = {
  events: z.array(z.string()).nullable().openapi({ description: "Types or groups that are sent; null for all." }),
};

/** The fields of a hook that show its filter; `hookFilterToJson` fills them. */
export const hookFilterAnswerFields = {
  ...filterAnswerFields,
  where: z
    .record(z.string(), whereTest)
    .nullable()
    .openapi({ description: "Conditions that an event must meet beside its type; null for none." }),
};

type Names = readonly string[] | null | undefined;

export function watchFilterOf(body: { readonly events?: Names }): EventFilter {
  return filterByNames(body.events ?? null);
}

/** Returns the filter of a hook's body, and the keys that were read. `events` takes precedence over `event`. */
export function hookFilterOf(body: {
  readonly events?: Names;
  readonly event?: Names;
  readonly where?: readonly WhereTerm[] | undefined;
}): {
  readonly filter: EventFilter;
  readonly keys: readonly string[];
} {
  const key = body.events === undefined ? "event" : "events";
  return { filter: filterOfHook(body[key] ?? null, body.where ?? []), keys: [key, "where"] };
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
