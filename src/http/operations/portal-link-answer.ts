import type { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { isoTime } from "../../domain/events/payload.ts";
import { maxPortalLinks } from "../../domain/portal-link.ts";
import type { PortalOutcome, PortalRequest } from "../../ports/use-cases/portals.ts";
import { defaultLinkSeconds } from "../schemas/portal-links.ts";
import type { portalLinkRequestSchema } from "../schemas/portal-links.ts";
import { scopeMissing } from "./key-rights.ts";
import { invalidBody } from "./operation.ts";
import { ProblemError } from "./problem.ts";

/** Returns the request for a link. Throws a 422 for a frame that would not work under `PUBLIC_URL`. */
export function portalRequestOf(body: z.infer<typeof portalLinkRequestSchema>, publicUrl: string | null): PortalRequest {
  const frameAncestors = [...new Set(body.frame_ancestors)];
  if (frameAncestors.length > 0 && URL.parse(publicUrl ?? "")?.protocol === "http:")
    throw invalidBody("/frame_ancestors", "needs PUBLIC_URL to be https: a browser sends no cookie to a framed page over plain http");
  return { can: body.can, expiresInMs: (body.expires_in ?? defaultLinkSeconds) * 1000, frameAncestors };
}

/**
 * Returns the new link with its address, shown once. The address is under `PUBLIC_URL`, else under the scheme and Host of the request,
 * never under what a proxy's header says. Throws the problem of every other outcome.
 */
export function createdLinkOf(c: Context, outcome: PortalOutcome, publicUrl: string | null) {
  if (outcome.kind === "beyond") throw scopeMissing(outcome.scope);
  if (outcome.kind === "too_many")
    throw new ProblemError({
      slug: "quota-exceeded",
      detail: `the account has ${maxPortalLinks} portal links that have not ended; end some first`,
    });
  const { id, can, expiresAtMs } = outcome.link;
  const base = publicUrl?.replace(/\/+$/, "") ?? new URL(c.req.url).origin;
  return { id, url: `${base}/portal/${id}/open?token=${outcome.token}`, can, expires_at: isoTime(expiresAtMs) };
}
