import { z } from "zod";
import { pollsPerSecondRange, defaultMaxPollsPerSecond } from "../../domain/sources/source-settings.ts";
import { mappedStatuses, normalWord, statusMapMaxWords, statusWordMaxLength } from "../../domain/sources/status-map.ts";
import { findHeaderFaults } from "../../domain/webhooks/custom-headers.ts";
import { parseJson, withoutMark } from "../upstream/parse-json.ts";
import { compileIdPattern, defaultIdPattern, idPatternMaxLength } from "./id-pattern.ts";
import { fillPlaceholders } from "./placeholders.ts";
import type { DefinitionFault, Fills } from "./placeholders.ts";
import { parsePointer, pointerText, valueAt } from "./pointer.ts";
import { targetFault, triggerUrlFault } from "./target.ts";

const fileMaxBytes = 256 * 1024;
const maxHeaders = 8;
const maxPointers = 16;
const maxDetails = 8;
const maxStatusCodes = 20;
const bodyMaxBytes = 16 * 1024;
const answerMaxBytes = 4 * 1024 * 1024;
const mebibyte = 1024 * 1024;
const detailName = /^[a-z0-9_]{1,40}$/;

const text = z.string("must be a string");
const pointer = text.refine((value) => parsePointer(value) !== null, "must be a JSON Pointer (RFC 6901), as in /call/state");
const pointers = z.union([pointer, z.array(pointer).max(maxPointers, `must name at most ${maxPointers} pointers`)], {
  error: "must be a JSON Pointer or a list of them",
});
const map = z
  .record(text, z.enum(mappedStatuses, `must be one of ${mappedStatuses.join(", ")}`), "must be an object of words and statuses")
  .superRefine((words, context) => {
    const seen = new Set<string>();
    for (const word of Object.keys(words)) {
      const fault = wordFault(word, seen);
      if (fault !== null) context.addIssue({ code: "custom", path: [word], message: fault });
      seen.add(normalWord(word));
    }
    if (seen.size > statusMapMaxWords) context.addIssue({ code: "custom", message: `must have at most ${statusMapMaxWords} words` });
  });
const statusPointer = z.union([pointer, z.strictObject({ at: pointer, map })], {
  error: "must be a JSON Pointer, or an object with at and map",
});
const statusCodes = (fallback: readonly number[]) =>
  z
    .array(
      z
        .int("must be a status code from 400 to 599")
        .min(400, "must be a status code from 400 to 599")
        .max(599, "must be a status code from 400 to 599")
        .refine((code) => code !== 429, "cannot be 429, which always is the rate limit"),
      "must be a list of status codes",
    )
    .max(maxStatusCodes, `must have at most ${maxStatusCodes} codes`)
    .default([...fallback]);

const trigger = z
  .strictObject(
    {
      method: z.enum(["POST", "PUT", "PATCH"], "must be POST, PUT or PATCH").default("POST"),
      url: text.superRefine((url, context) => addFault(context, triggerUrlFault(url))),
      id: pointer,
      to: pointer.refine((value) => value !== "" && value !== "/", "must point at a member of the request"),
      form: z.boolean("must be true or false").default(false),
      allow: z.array(text.min(1, "must be the name of a key")).max(64, "must have at most 64 keys").optional(),
      body: z.record(text, z.json(), "must be an object").default({}),
    },
    "must be an object",
  )
  .superRefine(({ to, form, allow, body }, context) => {
    const path = parsePointer(to) ?? [];
    const fault = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
    if (allow !== undefined && !allow.includes(path[0] ?? ""))
      fault("allow", `must have ${JSON.stringify(path[0])}, to which /trigger/to points`);
    if (Buffer.byteLength(JSON.stringify(body)) > bodyMaxBytes) fault("body", `must be at most ${bodyMaxBytes} bytes of JSON`);
    if (!form) return;
    if (path.length > 1) fault("to", "must point at a top-level key of a form");
    for (const [key, value] of Object.entries(body))
      if (typeof value === "object")
        context.addIssue({ code: "custom", path: ["body", key], message: "must be no object or list in a form" });
  })
  .transform(({ allow, ...rest }) => ({ ...rest, allow: allow ?? [parsePointer(rest.to)?.[0] ?? ""] }));

const definition = z
  .strictObject(
    {
      url: text.superRefine((url, context) => addFault(context, targetFault(url))),
      headers: z
        .record(text, text, "must be an object of names and values")
        .default({})
        .superRefine((headers, context) => {
          for (const { name, detail } of findHeaderFaults(headers))
            context.addIssue({ code: "custom", path: name === null ? [] : [name], message: detail });
          if (Object.keys(headers).length > maxHeaders)
            context.addIssue({ code: "custom", message: `must have at most ${maxHeaders} headers` });
        }),
      id_pattern: text
        .max(idPatternMaxLength, `must be at most ${idPatternMaxLength} characters`)
        .superRefine((pattern, context) => addFault(context, compileIdPattern(pattern).fault))
        .default(defaultIdPattern),
      status: z.union(
        [statusPointer, z.array(statusPointer).min(1, "must name a pointer").max(maxPointers, `must name at most ${maxPointers} pointers`)],
        { error: "must be a JSON Pointer or a list of them" },
      ),
      reason: pointers.default([] as string[]),
      map,
      details: z
        .record(text, pointer, "must be an object of names and pointers")
        .default({})
        .superRefine((details, context) => {
          const names = Object.keys(details);
          if (names.length > maxDetails) context.addIssue({ code: "custom", message: `must have at most ${maxDetails} names` });
          for (const name of names)
            if (!detailName.test(name))
              context.addIssue({ code: "custom", path: [name], message: "must have a name of 1 to 40 of a-z, 0-9 and _" });
        }),
      max_bytes: z
        .int("must be a whole number")
        .min(1, "must be at least 1")
        .max(answerMaxBytes, `must be at most ${answerMaxBytes}`)
        .default(mebibyte),
      not_found: statusCodes([404]),
      rejected: statusCodes([400]),
      unauthorized: statusCodes([401]),
      max_polls_per_second: z
        .number("must be a number")
        .min(pollsPerSecondRange.min, `must be at least ${pollsPerSecondRange.min}`)
        .max(pollsPerSecondRange.max, `must be at most ${pollsPerSecondRange.max}`)
        .default(defaultMaxPollsPerSecond),
      trigger: trigger.optional(),
    },
    "must be an object",
  )
  .superRefine((given, context) => {
    const seen = new Set<number>();
    for (const key of ["not_found", "rejected", "unauthorized"] as const)
      for (const [at, code] of given[key].entries()) {
        if (seen.has(code)) context.addIssue({ code: "custom", path: [key, at], message: "is in the lists twice" });
        seen.add(code);
      }
  });

/** The definition of a `json` source, as in its file, with every default. */
export type JsonDefinition = z.output<typeof definition>;

export type ParsedDefinition =
  | { readonly kind: "definition"; readonly definition: JsonDefinition }
  | { readonly kind: "invalid"; readonly faults: readonly DefinitionFault[] };

/** Parses the file of a source, and fills its placeholders. Faults have JSON pointers into the file and contain no value of it. */
export function parseDefinition(file: string, fills: Fills = { texts: {}, headers: {} }): ParsedDefinition {
  if (Buffer.byteLength(file) > fileMaxBytes) return invalidFile(`must be at most ${fileMaxBytes} bytes`);
  const json = parseJson(withoutMark(file));
  if (typeof json !== "object" || json === null || Array.isArray(json)) return invalidFile("must be a JSON object");
  const { details } = json as { readonly details?: unknown };
  // An object of JavaScript has it already, so that it would be dropped without a word.
  if (typeof details === "object" && details !== null && Object.hasOwn(details, "__proto__"))
    return { kind: "invalid", faults: [{ pointer: "/details/__proto__", detail: "must have another name" }] };
  const { filled, faults } = fillPlaceholders(json as Readonly<Record<string, unknown>>, fills);
  if (faults.length > 0) return { kind: "invalid", faults };
  const parsed = definition.safeParse(filled);
  if (parsed.success) return { kind: "definition", definition: parsed.data };
  return { kind: "invalid", faults: parsed.error.issues.flatMap((issue) => faultsOf(issue, [], filled)) };
}

function invalidFile(detail: string): ParsedDefinition {
  return { kind: "invalid", faults: [{ pointer: "", detail }] };
}

/**
 * Divides a definition into what is stored as it is, and what is sealed: the values of its headers. The first keeps their
 * names.
 */
export function storedDefinition({ headers, ...rest }: JsonDefinition): { readonly definition: string; readonly credential: string } {
  return { definition: JSON.stringify({ ...rest, headers: Object.keys(headers) }), credential: JSON.stringify(headers) };
}

/** Reads what `storedDefinition` returned. Throws if it is damaged. */
export function definitionFrom(stored: string, credential: string): JsonDefinition {
  const rest = JSON.parse(stored) as Omit<JsonDefinition, "headers">;
  return definition.parse({ ...rest, headers: JSON.parse(credential) as unknown });
}

/** Returns the faults of one issue. A union is described by the member that the input resembles. */
function faultsOf(issue: z.core.$ZodIssue, before: readonly PropertyKey[], file: unknown): readonly DefinitionFault[] {
  const path = [...before, ...issue.path];
  if (issue.code !== "custom" && valueAt(file, path.map(String)) === undefined)
    return [{ pointer: pointerText(path), detail: "is required" }];
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => ({ pointer: pointerText([...path, key]), detail: "is not a key of a definition" }));
  if (issue.code === "invalid_union") {
    const deepest = issue.errors.toSorted((a, b) => depthOf(b) - depthOf(a))[0] ?? [];
    if (depthOf(deepest) > 0) return deepest.flatMap((inner) => faultsOf(inner, path, file));
    const refined = issue.errors.flat().find(({ code }) => code === "custom" || code === "too_small" || code === "too_big");
    return [{ pointer: pointerText(path), detail: refined?.message ?? issue.message }];
  }
  return [{ pointer: pointerText(path), detail: issue.message }];
}

function depthOf(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map(({ code, path }) => path.length + (code === "unrecognized_keys" || code === "invalid_union" ? 1 : 0)));
}

function wordFault(word: string, seen: ReadonlySet<string>): string | null {
  const normal = normalWord(word);
  if (normal === "") return "must have a word";
  if (normal.length > statusWordMaxLength) return `must have a word of at most ${statusWordMaxLength} characters`;
  return seen.has(normal) ? "is in the map twice, because upper and lower case count as the same" : null;
}

function addFault(context: z.RefinementCtx, message: string | null): void {
  if (message !== null) context.addIssue({ code: "custom", message });
}
