import type { MiddlewareHandler } from "hono";
import { keyOf } from "../../operations/request-guards.ts";
import { formTokenOf, readForm } from "../form.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { notSignedIn, refusedForm } from "../page-error.ts";
import { refuseForeignForm } from "./request-origin.ts";
import { isFormTokenOf } from "./session.ts";
import type { Sessions } from "./session.ts";
import { isOperatorPath, operatorPath } from "../operator/operator-path.ts";
import { notFound, ProblemError } from "../../operations/problem.ts";
import { signInPath, signOutPath } from "./sign-in.ts";

/**
 * Admits requests with a session, and forms that a page of the dashboard sent. An API key in the headers counts as a
 * session. A form needs the token of the session in any case. Keys of the operator see the pages for operators alone.
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
    if (session === null) throw notSignedIn(key !== null ? "keyUnknown" : sessions.hasCookie(c) ? "sessionOver" : "firstVisit");
    c.set("session", session);
    c.set("key", session.key);
    if (session.account !== null) c.set("account", session.account);
    const isSignOut = c.req.path === signOutPath;
    if (session.account === null && c.req.path === "/dashboard") return c.redirect(operatorPath, 303);
    if (!isSignOut && (session.account === null) !== isOperatorPath(c.req.path))
      throw session.account === null ? new ProblemError({ slug: "operator-key" }) : notFound("page");
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
