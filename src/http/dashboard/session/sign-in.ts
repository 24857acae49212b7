import type { Context, Hono } from "hono";
import { html } from "hono/html";
import type { HttpBindings } from "@hono/node-server";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { FailedSignIns } from "./failed-sign-ins.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { notSignedIn, tooManySignIns } from "../page-error.ts";
import type { PageProblem } from "../page-error.ts";
import { page } from "../page.ts";
import type { OpenStreams } from "./open-streams.ts";
import type { Sessions } from "./session.ts";

export const signInPath = "/dashboard/sign-in";
export const signOutPath = "/dashboard/sign-out";

// A path of the dashboard with any query that the URL standard writes.
const targetSyntax = /^\/dashboard(?:\/[A-Za-z0-9_/-]*)?(?:\?[\w!$%&'()*+,./:;=?@[\]^`{|}~-]*)?$/;

/** Routes of sign-in and sign-out. */
export function addSignIn(
  dashboard: Hono<DashboardEnv>,
  { sessions, streams }: { readonly sessions: Sessions; readonly streams: OpenStreams },
  { clock }: HttpDependencies,
): void {
  const failed = new FailedSignIns();

  dashboard.get("/sign-in", (c) => c.redirect("/dashboard", 303));

  dashboard.post("/sign-in", async (c) => {
    const form = c.get("form");
    const key = (form.get("api_key") ?? "").trim();
    const session = await sessions.begin(c, key);
    if (session === null) {
      const waitMs = failed.note(clientOf(c), key, clock.monotonicMs());
      throw waitMs === null ? notSignedIn("keyUnknown") : tooManySignIns(waitMs);
    }
    const target = form.get("to") ?? "";
    return c.redirect(targetSyntax.test(target) ? target : "/dashboard", 303);
  });

  dashboard.post("/sign-out", async (c) => {
    await c.get("session").end();
    sessions.clearCookie(c);
    streams.end(c.get("session").formToken);
    // Needed because Chromium keeps whole pages for its Back button despite `no-store`, also after the cookie was cleared.
    c.header("clear-site-data", '"cache"');
    return c.redirect("/dashboard", 303);
  });
}

/** Renders the page that asks for a key, in place of the requested page. */
export function signInPage(
  c: Context<DashboardEnv>,
  { status, detail, headers, isFirstVisit = false }: PageProblem,
): Response | Promise<Response> {
  // A refused sign-in keeps the page that was requested before it.
  const form = c.get("form") as URLSearchParams | undefined;
  const asked = c.req.method === "GET" ? c.req.url.slice(new URL(c.req.url).origin.length) : (form?.get("to") ?? "");
  const target = targetSyntax.test(asked) && !asked.startsWith(signInPath) ? asked : "/dashboard";
  return page(
    c,
    {
      title: "Sign in",
      body: html`<h1>Ringback</h1>
        <p id="hint" class="${isFirstVisit ? "lead" : "notice bad"}" role="${isFirstVisit ? "note" : "alert"}">${detail}</p>
        <form method="post" action="${signInPath}" class="stacked">
          <label for="api_key">API key</label>
          <input
            id="api_key"
            name="api_key"
            type="password"
            required
            autocomplete="current-password"
            maxlength="512"
            aria-describedby="hint"
          />
          <input type="hidden" name="to" value="${target}" />
          <button type="submit">Sign in</button>
        </form>
        <p class="quiet">The key stays in a sealed cookie of this browser for 12 hours and nowhere else.</p>`,
    },
    { status, headers },
  );
}

/**
 * Identifies a client by its peer address and by the address that the nearest proxy reports, so that the typing errors of
 * one user do not count for all users of that proxy. A client without a proxy can forge the second part, but keys are too
 * long to be guessed anyway.
 */
function clientOf(c: Context<DashboardEnv>): string {
  const peer = (c.env as Partial<HttpBindings> | undefined)?.incoming?.socket.remoteAddress ?? "";
  const forwardedFor = c.req.header("x-forwarded-for")?.split(",").at(-1)?.trim().slice(0, 64) ?? "";
  return `${peer} ${forwardedFor}`;
}
