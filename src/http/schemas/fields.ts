import { payloadFormats } from "../../domain/events/payload.ts";
import { z } from "@hono/zod-openapi";
import { callSidPattern } from "../../domain/calls/call.ts";
import { findHeaderFaults } from "../../domain/webhooks/custom-headers.ts";
import { isSigningSecret } from "../../domain/webhooks/signature.ts";
import type { EndpointRequest } from "../../ports/use-cases/registration.ts";
import { unknownDetail } from "./problem-catalogue.ts";

const maxMetadataPairs = 16;
const maxMetadataBytes = 2048;
const maxHeaders = 20;
const metadataKey = /^[A-Za-z0-9_]{1,40}$/;
const isoTime = /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/;

// Keywords of JSON Schema 2020-12 that the generator's types lack.
const metadataNames = { propertyNames: { type: "string", pattern: metadataKey.source } };
const headerNames = { propertyNames: { type: "string", pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" } };

/** String field; a missing key has an error text of its own. */
const text = () => z.string({ error: (issue) => (issue.input === undefined ? "is required" : "must be a string") });

export const callSidField = text()
  .regex(callSidPattern, "must be OUT- and 1 to 128 letters, digits, _ or -")
  .openapi({ example: "OUT-550e8400-e29b-41d4-a716-446655440000" });

/** SID in a path. An invalid one is answered like an unknown one. */
export const callSidParam = z.object({
  call_sid: z
    .string()
    .regex(callSidPattern, unknownDetail("call"))
    .openapi({ param: { name: "call_sid", in: "path" }, example: "OUT-550e8400-e29b-41d4-a716-446655440000" }),
});

export const urlField = z
  .string("must be a string")
  .openapi({ example: "https://crm.example.com/hooks/calls", format: "uri", maxLength: 2048 });

/** Point in time, parsed to epoch milliseconds. */
export const timeField = text()
  .refine(isTime, "must be an ISO 8601 time with a time zone, as in 2026-11-24T12:00:00.000Z")
  .transform((time) => Date.parse(time))
  .openapi({ type: "string", format: "date-time", example: "2026-11-24T12:00:00.000Z" });

function isTime(time: string): boolean {
  const day = isoTime.exec(time)?.[1];
  // `Date.parse` reads the 30th of February as the 2nd of March.
  return day !== undefined && !Number.isNaN(Date.parse(time)) && new Date(day).toISOString().startsWith(day);
}

// Refuses the key `__proto__`, because a copy of a JSON object would silently drop it.
const withoutProto = z.unknown().superRefine((value, context) => {
  if (typeof value === "object" && value !== null && Object.hasOwn(value, "__proto__"))
    context.addIssue({ code: "custom", path: ["__proto__"], message: "cannot be a key" });
});

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

export const formatField = z.enum(payloadFormats, `must be ${payloadFormats.slice(0, -1).join(", ")} or ${payloadFormats.at(-1)}`);

export const signingSecretField = text().refine(isSigningSecret, "must be whsec_ and base64 of 24 to 64 bytes").openapi({
  example: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  pattern: "^whsec_[A-Za-z0-9+/]{32,86}={0,2}$",
  writeOnly: true,
  description: "Your own secret. If you send the same everywhere, one secret verifies all webhooks.",
});

/** Fields of a body that describe the endpoint of its URL. */
export const endpointFields = {
  format: formatField.optional(),
  headers: headersField.optional(),
  signing_secret: signingSecretField.optional(),
};

export function endpointRequestOf({ format, headers, signing_secret }: z.infer<z.ZodObject<typeof endpointFields>>): EndpointRequest {
  return {
    format: format ?? null,
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
      .openapi({ param: { name: "id", in: "path" }, example: `${prefix}_${example}` }),
  });

/** Id in a filter. */
export const idQuery = (prefix: string, what: string) =>
  z.string().regex(idSyntax(prefix), `must be the id of ${what}, as in ${prefix}_1kw4kg04000`).optional();

/** Name of a source: text that both databases can store. */
export const sourceNameField = z
  .string("must be a string")
  .regex(/^[^\p{C}]{1,100}$/u, "must be 1 to 100 characters, none of them a control character");

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

export const limitQuery = wholeNumber(1, 200)
  .default(50)
  .openapi({ type: "integer", minimum: 1, maximum: 200, default: 50, description: "Maximum number of items." });
export const cursorQuery = z
  .string()
  .min(1, "must be the next_cursor of a page before")
  .max(200, "must be the next_cursor of a page before")
  .optional();
export const waitQuery = wholeNumber(0, 30).default(0).openapi({
  type: "integer",
  minimum: 0,
  maximum: 30,
  default: 0,
  description: "Seconds to hold the answer until something new happens.",
});
export const sequenceQuery = wholeNumber(0, 999_999_999).optional().openapi({ type: "integer", minimum: 0 });
export const pageQuery = { limit: limitQuery, cursor: cursorQuery };
