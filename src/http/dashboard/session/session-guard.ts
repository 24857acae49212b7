import type { MiddlewareHandler } from "hono";
import { keyOf } from "../../operations/request-guards.ts";
import { formTokenOf, readForm } from "../form.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { notSignedIn, refusedForm } from "../page-error.ts";
import { refuseForeignForm } from "./request-origin.ts";
import { hasSessionCookie, isFormTokenOf } from "./session.ts";
import type { Sessions } from "./session.ts";
import { signInPath } from "./sign-in.ts";

/**
 * Admits requests with a session, and forms that a page of the dashboard sent. An API key in the headers counts as a
 * session. A form needs the token of the session in any case.
 */
export function guard(sessions: Sessions, publicUrl: string | null): MiddlewareHandler<DashboardEnv> {
  return async (c, next) => {
    const isForm = c.req.method === "POST";
    if (c.req.path === signInPath) {
      if (isForm) {
        refuseForeignForm(c, publicUrl);
        c.set("form", await readForm(c));
      }
      return next();
    }
    const key = keyOf(c);
    const session = (await sessions.resume(c)) ?? (key === null ? null : await sessions.begin(c, key));
    if (session === null) throw notSignedIn(key !== null ? "keyUnknown" : hasSessionCookie(c) ? "sessionOver" : "firstVisit");
    c.set("session", session);
    c.set("account", session.account);
    if (isForm) {
      refuseForeignForm(c, publicUrl);
      const form = await readForm(c);
      if (!isFormTokenOf(session, formTokenOf(form)))
        throw refusedForm("this form belongs to another session: go back, reload the page and send it again");
      c.set("form", form);
    }
    return next();
  };
}
