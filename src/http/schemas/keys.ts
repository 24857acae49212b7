import { z } from "@hono/zod-openapi";
import { isoTime } from "../../domain/events/payload.ts";
import { keyScopes } from "../../domain/secrets/key-scopes.ts";
import { keyNameFault } from "../../domain/secrets/key-name.ts";
import type { ApiKey, ApiKeyView } from "../../ports/stores/account-store.ts";
import { timeField } from "./fields.ts";
import { timeOrNull } from "./parts.ts";

const scope = z.enum(keyScopes, `must be ${keyScopes.slice(0, -1).join(", ")} or ${keyScopes.at(-1)}`);
const scopesNote =
  "`read`: what is read, the feed too. `watch`: watches. `place`: placing calls and resolving placings. `endpoints`: hooks, endpoints, secrets, tests, retries, recovery. `admin`: keys, portal links, audit, the default signing secret. Each of them holds `read`.";

const scopesField = z
  .array(scope, "must be a list")
  .min(1, "must have at least one scope")
  .max(keyScopes.length, `must have at most ${keyScopes.length} scopes`)
  .openapi({ description: `${scopesNote} Left out: those of the key that asks.`, example: ["read", "watch"] });

/** Fields of every key in an answer. */
export const keyFields = {
  id: z.string().openapi({ description: "Id of the key." }),
  name: z.string().openapi({ description: "Name of the key; that of RINGBACK_API_KEY is `environment`." }),
  scopes: z.array(scope).openapi({ description: scopesNote }),
  expires_at: timeOrNull.openapi({ description: "End of the key; null if it has none." }),
};

export const keyExample = { id: "key_1kw4kg04000", name: "crm", scopes: ["read", "watch"], expires_at: null };

export function usedKeyJson({ id, name, scopes, expiresAtMs }: ApiKey) {
  return { id, name, scopes: [...scopes], expires_at: isoTime(expiresAtMs) };
}

export const keyRequestSchema = z
  .strictObject(
    {
      name: z
        .string({ error: (issue) => (issue.input === undefined ? "is required" : "must be a string") })
        .superRefine((name, context) => {
          const fault = keyNameFault(name);
          if (fault !== null) context.addIssue({ code: "custom", message: fault });
        })
        .openapi({ description: "Name of the key, for people.", minLength: 1, maxLength: 100, example: "crm" }),
      scopes: scopesField.optional(),
      expires_at: timeField
        .nullable()
        .optional()
        .openapi({
          type: ["string", "null"],
          format: "date-time",
          description: "End of the key; null for none. Left out: that of the key that asks.",
        }),
    },
    "must be an object",
  )
  .openapi("KeyRequest", { example: { name: "crm", scopes: ["read", "watch"] } });

export function keyJson({ createdAtMs, ...key }: ApiKeyView) {
  return { ...usedKeyJson(key), created_at: isoTime(createdAtMs) };
}

/** Returns a key as lists show it. */
export function listedKeyJson(view: ApiKeyView) {
  return { ...keyJson(view), last_used_at: isoTime(view.lastUsedAtMs), revoked_at: isoTime(view.revokedAtMs) };
}
