import { z } from "@hono/zod-openapi";
import { isoTime } from "../../domain/events/payload.ts";
import { portalRights } from "../../domain/portal-link.ts";
import type { PortalLink } from "../../domain/portal-link.ts";
import { wholeField } from "./fields.ts";

/** Seconds until a link ends that names no time. */
export const defaultLinkSeconds = 3600;
const maxAncestors = 8;

/** Without a wildcard, which would be a pattern in the header that names the origins. */
const originSyntax = /^https:\/\/[a-z0-9.-]+(?::\d+)?$/;
const originField = z
  .string("must be a string")
  .refine((text) => originSyntax.test(text) && URL.parse(text)?.origin === text, "must be an https origin, as in https://crm.example.com");

export const portalLinkRequestSchema = z
  .strictObject(
    {
      can: z.enum(portalRights, "must be look or operate").openapi({ description: "What the session may do." }),
      expires_in: wholeField(60, 604_800)
        .optional()
        .openapi({ description: `Seconds until link and session end; ${defaultLinkSeconds} if left out. They end with the key, too.` }),
      frame_ancestors: z
        .array(originField, "must be a list")
        .max(maxAncestors, `must have at most ${maxAncestors} origins`)
        .optional()
        .openapi({ description: "Origins (https) whose pages may frame the portal; none if left out." }),
    },
    "must be an object",
  )
  .openapi("PortalLinkRequest", { example: { can: "look", expires_in: 3600 } });

/** Returns a link as lists show it, without its address. */
export function portalLinkJson({ id, can, expiresAtMs, frameAncestors, createdAtMs, usedAtMs, revokedAtMs }: PortalLink) {
  return {
    id,
    can,
    expires_at: isoTime(expiresAtMs),
    frame_ancestors: [...frameAncestors],
    created_at: isoTime(createdAtMs),
    used_at: isoTime(usedAtMs),
    revoked_at: isoTime(revokedAtMs),
  };
}
