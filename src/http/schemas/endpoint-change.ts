import { z } from "@hono/zod-openapi";
import { storedTemplate } from "../../domain/webhooks/webhook-content.ts";
import type { EndpointChange } from "../../ports/use-cases/endpoint-settings.ts";
import { formatField, headersField, signingSecretField, wholeField } from "./fields.ts";
import { checkTemplate, requestField } from "./request-template.ts";

const maxGraceSeconds = 604_800;
const defaultGraceSeconds = 86_400;

export const endpointPatchSchema = z
  .strictObject(
    {
      format: formatField.optional(),
      request: requestField.optional(),
      headers: headersField.optional(),
      max_in_flight: wholeField(1, 1000).optional().openapi({ description: "Maximum number of webhooks in flight." }),
      max_per_second: z
        .number("must be a number or null")
        .min(0.1, "must be at least 0.1")
        .max(10_000, "must be at most 10000")
        .nullable()
        .optional()
        .openapi({ description: "Maximum number of webhooks in any second, spread evenly; null for none." }),
      signatures: z
        .array(z.enum(["v1", "v1a"], "must be v1 or v1a"), "must be a list")
        .refine((list) => list.includes("v1") && new Set(list).size === list.length, 'must be ["v1"] or ["v1", "v1a"]')
        .optional()
        .openapi({ description: "Signatures of each webhook: HMAC-SHA256 alone, or ed25519 beside it." }),
      late: z
        .enum(["send", "drop"], "must be send or drop")
        .optional()
        .openapi({ description: "`drop`: an earlier event is superseded once a later one of the watch was delivered." }),
      state: z
        .enum(["enabled", "paused", "disabled"], "must be enabled, paused or disabled")
        .optional()
        .openapi({ description: "New state of the endpoint." }),
    },
    "must be an object",
  )
  .superRefine(checkTemplate)
  .openapi("EndpointPatch", { example: { max_in_flight: 8, late: "drop" } });

export const rotationSchema = z
  .strictObject(
    {
      grace_seconds: wholeField(0, maxGraceSeconds)
        .optional()
        .openapi({ description: "How long the previous secret signs too; 86400 if left out." }),
      signing_secret: signingSecretField.optional(),
    },
    "must be an object",
  )
  .openapi("SecretRotation", { example: { grace_seconds: defaultGraceSeconds } });

/** Returns what the body changes. A key that was left out is absent, also if a form has it as `undefined`. */
export function endpointChangeOf(body: z.infer<typeof endpointPatchSchema>): EndpointChange {
  const { max_in_flight: maxInFlight, max_per_second: maxPerSecond, request, ...others } = body;
  const same = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== undefined));
  const limits = { ...(maxInFlight === undefined ? {} : { maxInFlight }), ...(maxPerSecond === undefined ? {} : { maxPerSecond }) };
  const template = request === undefined ? {} : { format: "template", request: storedTemplate(request) };
  // A form sends all its fields, and one that is blank is `undefined`.
  const given = Object.fromEntries(Object.entries(same).filter(([, value]) => value !== undefined));
  return { ...given, ...template, ...limits } as EndpointChange;
}

/** Returns the rotation that the body asks for. */
export function rotationOf(body: z.infer<typeof rotationSchema>): {
  readonly graceSeconds: number;
  readonly signingSecret: string | null;
} {
  return { graceSeconds: body.grace_seconds ?? defaultGraceSeconds, signingSecret: body.signing_secret ?? null };
}
