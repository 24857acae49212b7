import { z } from "@hono/zod-openapi";
import { callSidMaxLength, isCallSid } from "../../domain/calls/call.ts";
import { findHeaderFaults } from "../../domain/webhooks/custom-headers.ts";
import { isSigningSecret } from "../../domain/webhooks/signature.ts";
import { endpointFormats, storedTemplate } from "../../domain/webhooks/webhook-content.ts";
import type { EndpointRequest } from "../../ports/use-cases/registration.ts";
import { metadataKey } from "./parts.ts";
import { unknownDetail } from "./problem-catalogue.ts";
import { requestField } from "./request-template.ts";

const maxMetadataPairs = 16;
const maxMetadataBytes = 2048;
const maxHeaders = 20;
const isoTime = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(?:(Z)|([+-]\d{2}):?(\d{2}))$/i;
/** A time whose `+` was written into a URL as it is: a query decodes it to a blank. */
const blankBeforeZone = /^\d{4}-\d{2}-\d{2}T[\d:.]+ \d{2}:?\d{2}$/i;

// Keywords of JSON Schema 2020-12 that the generator's types lack.
const metadataNames = { propertyNames: { type: "string", pattern: metadataKey.source } };
const headerNames = { propertyNames: { type: "string", pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" } };

/** String field; a missing key has an error text of its own. */
const text = () => z.string({ error: (issue) => (issue.input === undefined ? "is required" : "must be a string") });

/** SID of a call. The source says which texts are SIDs: PolyAI's are `OUT-` and 1 to 128 letters, digits, `_` or `-`. */
const callSidDocument = { minLength: 1, maxLength: callSidMaxLength, example: "OUT-550e8400-e29b-41d4-a716-446655440000" };

export const callSidField = text()
  .refine(isCallSid, `must be 1 to ${callSidMaxLength} characters, none of them a control character`)
  .openapi({
    description: "SID of the call. Its source says which texts are SIDs; PolyAI's are OUT- and 1 to 128 letters, digits, _ or -.",
    ...callSidDocument,
  });

/** SID in a path. An invalid one is answered like an unknown one. */
export const callSidParam = z.object({
  call_sid: z
    .string()
    .refine(isCallSid, unknownDetail("call"))
    .openapi({
      description: "SID of the call.",
      param: { name: "call_sid", in: "path", description: "SID of the call." },
      ...callSidDocument,
    }),
});

export const urlField = z
  .string("must be a string")
  .openapi({ description: "URL that is sent the events.", example: "https://crm.example.com/hooks/calls", format: "uri", maxLength: 2048 });

/** Point in time, parsed to epoch milliseconds. */
export const timeField = text()
  .transform((time, context): number => {
    const parsedMs = parseTime(time);
    if (parsedMs !== null) return parsedMs;
    const message = blankBeforeZone.test(time)
      ? "has a blank before its time zone: percent-encode the plus of a query as %2B, as in 2026-11-24T12:00:00%2B02:00"
      : "must be an ISO 8601 time with a time zone, as in 2026-11-24T12:00:00.000Z";
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  })
  .openapi({ type: "string", format: "date-time", description: "Time with a time zone (ISO 8601).", example: "2026-11-24T12:00:00.000Z" });

/** Returns epoch milliseconds; `null` if the text is no time. The zone may have no colon; `t` and `z` may be lower case (RFC 3339). */
function parseTime(text: string): number | null {
  const [, day = "", time = "", utc, hours = "", minutes = ""] = isoTime.exec(text) ?? [];
  const parsedMs = Date.parse(`${day}T${time}${utc === undefined ? `${hours}:${minutes}` : "Z"}`);
  // `Date.parse` reads the 30th of February as the 2nd of March.
  return Number.isNaN(parsedMs) || !new Date(day).toISOString().startsWith(day) ? null : parsedMs;
}

/** Refuses the key `__proto__` at any depth, because a copy of a JSON object would silently drop it. */
export const withoutProto = z.unknown().superRefine((value, context) => {
  const path = pathOfProto(value);
  if (path !== null) context.addIssue({ code: "custom", path: [...path], message: "cannot be a key" });
});

/** Returns the path of the first key `__proto__`; `null` if there is none. */
function pathOfProto(value: unknown): readonly string[] | null {
  if (typeof value !== "object" || value === null) return null;
  for (const [key, member] of Object.entries(value)) {
    const below = key === "__proto__" ? [] : pathOfProto(member);
    if (below !== null) return [key, ...below];
  }
  return null;
}

const metadataRecord = z
  .record(z.string(), z.string("must be a string"), "must be an object of strings")
  .superRefine((metadata, context) => {
    const entries = Object.entries(metadata);
    if (entries.length > maxMetadataPairs) context.addIssue({ code: "custom", message: `must have at most ${maxMetadataPairs} pairs` });
    const bytes = entries.reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
    if (bytes > maxMetadataBytes)
      context.addIssue({ code: "custom", message: `must have at most ${maxMetadataBytes} bytes of keys and values together` });
    for (const [key, value] of entries) {
      if (!metadataKey.test(key))
        context.addIssue({ code: "custom", path: [key], message: "must be a key of 1 to 40 letters, digits or _" });
      if (!value.isWellFormed() || value.includes("\0"))
        context.addIssue({ code: "custom", path: [key], message: "must be well-formed Unicode without NUL" });
    }
  });

export const metadataField = withoutProto.pipe(metadataRecord).openapi({
  type: "object",
  additionalProperties: { type: "string" },
  ...metadataNames,
  maxProperties: maxMetadataPairs,
  description: "Up to 16 pairs of strings, 2 KiB of UTF-8 together; echoed in every event.",
  example: { lead_id: "00Q5g000" },
});

export const headersField = withoutProto
  .pipe(
    z.record(z.string(), z.string("must be a string"), "must be an object of strings").superRefine((headers, context) => {
      for (const { name, detail } of findHeaderFaults(headers))
        context.addIssue({ code: "custom", path: name === null ? [] : [name], message: detail });
    }),
  )
  .openapi({
    type: "object",
    additionalProperties: { type: "string", pattern: "^[ -~]*$" },
    ...headerNames,
    maxProperties: maxHeaders,
    writeOnly: true,
    description:
      "Headers sent with every webhook: up to 20, 4 KiB together, visible ASCII. Headers set by the service or the connection are refused. Answers show only names.",
    example: { "x-api-key": "s3cret" },
  });

export const formatField = z
  .enum(endpointFormats, `must be ${endpointFormats.slice(0, -1).join(", ")} or ${endpointFormats.at(-1)}`)
  .openapi({ description: "Format of the webhooks. `template` needs a `request`; `slack` and `teams` are templates of the service." });

export const signingSecretField = text().refine(isSigningSecret, "must be whsec_ and padded, canonical base64 of 24 to 64 bytes").openapi({
  example: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  pattern: "^whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
  writeOnly: true,
  description: "Your own secret. If you send the same everywhere, one secret verifies all webhooks.",
});

/** Fields of a body that describe the endpoint of its URL. */
export const endpointFields = {
  format: formatField.optional(),
  request: requestField.optional(),
  headers: headersField.optional(),
  signing_secret: signingSecretField.optional(),
};

export function endpointRequestOf({
  format,
  request,
  headers,
  signing_secret,
}: z.infer<z.ZodObject<typeof endpointFields>>): EndpointRequest {
  return {
    format: format ?? (request === undefined ? null : "template"),
    request: request === undefined ? null : storedTemplate(request),
    headers: (headers ?? null) as Readonly<Record<string, string>> | null,
    signingSecret: signing_secret ?? null,
  };
}

const idSyntax = (prefix: string) => new RegExp(`^${prefix}_[0-9A-Za-z]{1,64}$`);

/** Id in a path. An invalid one is answered like an unknown one: the message becomes the detail of a 404. */
export const idParam = (prefix: string, example: string, what: string) =>
  z.object({
    id: z
      .string()
      .regex(idSyntax(prefix), unknownDetail(what))
      .openapi({
        description: `Id of the ${what}.`,
        param: { name: "id", in: "path", description: `Id of the ${what}.` },
        example: `${prefix}_${example}`,
      }),
  });

/** Id in a filter. */
export const idQuery = (prefix: string, what: string) =>
  z
    .string()
    .regex(idSyntax(prefix), `must be the id of ${what}, as in ${prefix}_1kw4kg04000`)
    .optional()
    .openapi({ description: `Only those of ${what} with this id.` });

/** Id of an event in a body. */
export const eventIdField = text()
  .regex(idSyntax("evt"), "must be the id of an event, as in evt_5uVb0nCqHkq1Xw3Zt8Yd2Jr7Ls4Mf6Pg")
  .openapi({ example: "evt_5uVb0nCqHkq1Xw3Zt8Yd2Jr7Ls4Mf6Pg" });

/** Name of a source: text that both databases can store. */
export const sourceNameField = z
  .string("must be a string")
  .refine((name) => /^[^\p{C}]{1,100}$/u.test(name), "must be 1 to 100 characters, none of them a control character")
  // JSON Schema has no flags, and many engines lack Unicode classes, so that the document names only the ASCII controls.
  .openapi({ description: "Name of a source.", minLength: 1, maxLength: 100, pattern: "^[^\\x00-\\x1f\\x7f]+$" });

/** Schema of a body that has no keys. */
export const noBodySchema = z.strictObject({}, "must be an object");

/** Whole number in a body. */
export const wholeField = (min: number, max: number) =>
  z.number("must be a number").int("must be a whole number").min(min, `must be at least ${min}`).max(max, `must be at most ${max}`);

/** Whole number in a query. */
const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .refine(
      (digits) => /^\d{1,9}$/.test(digits) && Number(digits) >= min && Number(digits) <= max,
      `must be a whole number from ${min} to ${max}`,
    )
    .transform(Number);

/** Whether a value is a blank text, null or a list of those. No-code tools send such values for the fields that a person left empty. */
export function isBlank(value: unknown): boolean {
  return value === null || (typeof value === "string" && value.trim() === "") || (Array.isArray(value) && value.every(isBlank));
}

/** Reads a blank parameter as if it were left out. */
export const orBlank = <Schema extends z.ZodType>(schema: Schema) => z.preprocess((value) => (isBlank(value) ? undefined : value), schema);

export const limitQuery = wholeNumber(1, 200)
  .default(50)
  .openapi({ type: "integer", minimum: 1, maximum: 200, default: 50, description: "Maximum number of items." });
export const cursorQuery = z
  .string()
  .min(1, "must be the next_cursor of a page before")
  .max(200, "must be the next_cursor of a page before")
  .optional()
  .openapi({ description: "The `next_cursor` of the page before; left out for the first page." });
export const afterQuery = z.string().max(200, "must be the next_cursor of a page before").optional().openapi({
  description:
    "The `next_cursor` of the page before. Left out or empty: the start of the feed, behind the newest event that retention deleted. `latest`: now, so that the answer is empty and its `next_cursor` leads to what comes next.",
});
export const waitQuery = wholeNumber(0, 30).default(0).openapi({
  type: "integer",
  minimum: 0,
  maximum: 30,
  default: 0,
  description:
    "Seconds to hold the answer until something new happens. A wait of 30 ends up to a second earlier, before routers that give up after 30 s.",
});
/** Maximum wait. Shorter than 30 s, so that the answer passes routers that give up after 30 s. */
const maxWaitMs = 29_300;

/** Returns the milliseconds that a request waits for a `wait` in seconds. */
export function waitMsOf(waitSeconds: number): number {
  return Math.min(waitSeconds * 1000, maxWaitMs);
}

export const sequenceQuery = wholeNumber(0, 999_999_999)
  .optional()
  .openapi({ type: "integer", minimum: 0, description: "Sequence that the client has seen; a watch past it is answered at once." });
export const pageQuery = { limit: limitQuery, cursor: cursorQuery };
