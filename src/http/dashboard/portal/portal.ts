import { createHash } from "node:crypto";
import { Hono } from "hono";
import type { Context, MiddlewareHandler } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { html } from "hono/html";
import { portalScopes } from "../../../domain/portal-link.ts";
import type { PortalEnd } from "../../../domain/portal-link.ts";
import type { FoundPortalLink } from "../../../ports/stores/portal-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { notFound } from "../../operations/problem.ts";
import { refuseDisabled, refuseOptions } from "../../operations/request-guards.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { addAccountPages } from "../account-pages.ts";
import { formTokenOf, readForm } from "../form.ts";
import { frameAncestorsHeaders, page, pageHeaders } from "../page.ts";
import { PageProblemError, refusedForm } from "../page-error.ts";
import { isPlainHttpAllowed, refuseForeignForm } from "../session/request-origin.ts";
import { OpenStreams } from "../session/open-streams.ts";
import { isFormTokenOf } from "../session/session.ts";
import { underPortal } from "./portal-links.ts";

type PortalEnv = { Variables: DashboardEnv["Variables"] & { portal: FoundPortalLink } };

const cookieName = "ringback_portal";

const endings: Readonly<Record<PortalEnd, string>> = {
  used: "This link was used. It opens one session, in the browser that used it.",
  expired: "This link has expired.",
  revoked: "This link was revoked: by a person, with the key that made it, or because its account was disabled.",
};

/**
 * Creates the portal, to be mounted at `/portal/:link`: the dashboard of the account of a link, for a person without a key.
 * Its pages are those of the dashboard, whose links lead below the path of the portal. Its cookie has that path, so that it
 * lies beside the session of a key.
 */
export function createPortal(dependencies: HttpDependencies, limitRate: MiddlewareHandler): Hono<PortalEnv> {
  const { portals, publicUrl, clock } = dependencies;
  const portal = new Hono<PortalEnv>({ strict: true });
  const streams = new OpenStreams();

  portal.use(underPortal, frameAncestorsHeaders, pageHeaders(publicUrl), refuseOptions);
  portal.use(async (c, next) => {
    const found = await portals.find(c.req.param("link") ?? "");
    if (found === null) throw notFound("portal link");
    refuseDisabled(found.account);
    c.set("portal", found);
    if (found.end !== null) throw gone(found.end);
    await next();
  });

  portal.get("/open", (c) => {
    const found = c.get("portal");
    if (portals.isSessionOf(found, getCookie(c, cookieName) ?? "")) return c.redirect(homeOf(found), 303);
    const token = c.req.query("token") ?? "";
    if (!portals.isTokenOf(found, token)) throw notFound("portal link");
    if (found.link.usedAtMs !== null) throw gone("used");
    return page(c as Context as Context<DashboardEnv>, {
      title: "Open the dashboard",
      body: html`<h1>Ringback</h1>
        <p class="lead">This link opens the dashboard of ${found.account.name} once, in this browser.</p>
        <form method="post" action="${`${homeOf(found)}open`}">
          <input type="hidden" name="link_token" value="${token}" />
          <button type="submit">Open the dashboard</button>
        </form>`,
    });
  });

  portal.post("/open", async (c) => {
    refuseForeignForm(c, publicUrl);
    const found = c.get("portal");
    const form = await readForm(c as Context as Context<DashboardEnv>);
    if (!portals.isTokenOf(found, form.get("link_token") ?? "")) throw notFound("portal link");
    const session = await portals.open(found);
    if (session === null) throw gone("used");
    const maxAge = Math.max(1, Math.ceil((found.link.expiresAtMs - clock.nowMs()) / 1000));
    setCookie(c, cookieName, session, { ...cookieAttributes(c, found, publicUrl), maxAge });
    return c.redirect(homeOf(found), 303);
  });

  portal.use(async (c, next) => {
    const found: FoundPortalLink = c.get("portal");
    const { link, account } = found;
    const session = getCookie(c, cookieName) ?? "";
    if (!portals.isSessionOf(found, session)) throw link.usedAtMs === null ? notFound("session") : gone("used");
    const rights = { scopes: portalScopes[link.can], expiresAtMs: link.expiresAtMs };
    const key = { id: link.id, accountId: link.accountId, name: `portal, ${link.can}`, ...rights };
    const formToken = createHash("sha256").update(`form ${session}`).digest("base64url");
    const isOpen = async () => {
      const now = await portals.find(link.id);
      return now !== null && now.end === null && now.account.disabledAtMs === null && portals.isSessionOf(now, session);
    };
    const end = () => portals.endSession(found);
    c.set("session", { account, key, formToken, end, isOpen });
    c.set("account", account);
    c.set("key", key);
    if (c.req.method === "POST") {
      refuseForeignForm(c, publicUrl);
      const form = await readForm(c as Context as Context<DashboardEnv>);
      if (!isFormTokenOf({ formToken }, formTokenOf(form)))
        throw refusedForm("this form belongs to another session: go back, reload the page and send it again");
      c.set("form", form);
      // Does not depend on the scope that a form asks for.
      if (link.can === "look" && c.req.path !== `${homeOf(found)}sign-out`)
        throw refusedForm("this link was made to look, so that it changes nothing");
    }
    await next();
  }, limitRate);

  portal.post("/sign-out", async (c) => {
    await c.get("session").end();
    streams.end(c.get("session").formToken);
    deleteCookie(c, cookieName, cookieAttributes(c, c.get("portal"), publicUrl));
    c.header("clear-site-data", '"cache"');
    return c.redirect(homeOf(c.get("portal")), 303);
  });
  addAccountPages(portal as unknown as Hono<DashboardEnv>, dependencies, streams);
  return portal;
}

/** Attributes of the cookie, set or deleted: a browser keeps that of a frame apart, by the page around it. */
function cookieAttributes(c: Context, found: FoundPortalLink, publicUrl: string | null) {
  const isFramed = found.link.frameAncestors.length > 0;
  return {
    path: homeOf(found),
    httpOnly: true,
    ...(isFramed
      ? { sameSite: "None" as const, secure: true, partitioned: true }
      : { sameSite: "Lax" as const, secure: !isPlainHttpAllowed(c, publicUrl) }),
  };
}

function homeOf({ link }: FoundPortalLink): string {
  return `/portal/${link.id}/`;
}

/** Returns the 410 of a link or session that has ended. */
function gone(end: PortalEnd): PageProblemError {
  return new PageProblemError({ status: 410, title: "Gone", detail: endings[end], headers: {} });
}
