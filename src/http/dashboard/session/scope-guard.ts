import type { Context, MiddlewareHandler } from "hono";
import type { KeyScope } from "../../../domain/secrets/key-scopes.ts";
import { requireRights } from "../../operations/key-rights.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { refusedForm } from "../page-error.ts";

/** Refuses a page or form whose session has a key without the scope. Stands beside each route that changes something. */
export function needsScope(scope: KeyScope): MiddlewareHandler<DashboardEnv> {
  return (c, next) => {
    requireRights(c.get("key"), scope);
    return next();
  };
}

/** Whether the session is that of a portal link. No secret is shown or set in it. */
export function isPortalSession(c: Context<DashboardEnv>): boolean {
  return c.get("key").id.startsWith("ptl_");
}

/** Refuses a page or form that shows or sets a secret, in a portal. Stands beside `needsScope`. */
export const needsKey: MiddlewareHandler<DashboardEnv> = (c, next) => {
  if (isPortalSession(c)) throw refusedForm("a portal shows and sets no secrets: sign in with an API key");
  return next();
};
