import type { MiddlewareHandler } from "hono";
import { keyOf } from "../../operations/request-guards.ts";
import { formTokenOf, readForm } from "../form.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { PageProblemError, notSignedIn } from "../page-error.ts";
import { refuseForeignForm } from "./request-origin.ts";
import { hasSessionCookie, isFormTokenOf } from "./session.ts";
import type { Sessions } from "./session.ts";
import { signInPath } from "./sign-in.ts";

/**
 * Lets through who is signed in, and forms that one of our pages sent. A key in the request's headers, as the API takes
 * it, signs in by itself; a form needs the session's token all the same.
 */
export function guard(sessions: Sessions): MiddlewareHandler<DashboardEnv> {
  return async (c, next) => {
    const isForm = c.req.method === "POST";
    if (c.req.path === signInPath) {
      if (isForm) {
        refuseForeignForm(c);
        c.set("form", await readForm(c));
      }
      return next();
    }
    const key = keyOf(c);
    const session = (await sessions.resume(c)) ?? (key === null ? null : await sessions.begin(c, key));
    if (session === null) throw notSignedIn(key !== null ? "key-unknown" : hasSessionCookie(c) ? "session-over" : "sign-in-needed");
    c.set("session", session);
    c.set("account", session.account);
    if (isForm) {
      refuseForeignForm(c);
      const form = await readForm(c);
      if (!isFormTokenOf(session, formTokenOf(form)))
        throw new PageProblemError({
          slug: "form-outdated",
          detail: "this form belongs to another session: go back, load the page again and send it from there",
        });
      c.set("form", form);
    }
    return next();
  };
}
