import { createHash } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { html, raw } from "hono/html";
import type { DashboardEnv, Html } from "./dashboard-env.ts";
import { scriptName } from "./live/live-script.ts";
import type { FoundPortalLink } from "../../ports/stores/portal-store.ts";
import { actionForm, mayUse } from "./form.ts";
import { operatorPath, operatorScriptPath } from "./operator/operator-path.ts";
import { referrerPolicyFor } from "./session/request-origin.ts";
import type { Session } from "./session/session.ts";
import { style } from "./style.ts";

const accountSections = [
  { path: "/dashboard", label: "Overview" },
  { path: "/dashboard/watches", label: "Watches" },
  { path: "/dashboard/events", label: "Events" },
  { path: "/dashboard/calls", label: "Calls" },
  { path: "/dashboard/deliveries", label: "Deliveries" },
  { path: "/dashboard/endpoints", label: "Endpoints" },
  { path: "/dashboard/hooks", label: "Hooks" },
  { path: "/dashboard/sources", label: "Sources" },
];

/** Sections for keys with the scope `admin`. */
const adminSections = [
  { path: "/dashboard/keys", label: "Keys" },
  { path: "/dashboard/portal-links", label: "Portal links" },
  { path: "/dashboard/audit", label: "Audit" },
];

const operatorSections = [
  { path: operatorPath, label: "Service" },
  { path: `${operatorPath}/accounts`, label: "Accounts" },
  { path: `${operatorPath}/audit`, label: "Audit" },
];

export type Page = {
  readonly title: string;
  readonly body: Html;
  /** Path of the stream that says when the page has changed; it has parts to keep up to date. Without a script it offers to reload itself. */
  readonly live?: string;
  /** Whether its parts are numbers that change all the time, so that the script fetches it again and again without a stream. */
  readonly isGauge?: boolean;
};

const refreshSeconds = 10;
const contentPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "connect-src 'self'",
  `style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Replaces the ban of frames by the origins that a portal link names. Stands before `pageHeaders`, so that it has the last word. */
export const frameAncestorsHeaders: MiddlewareHandler<{ Variables: { portal: FoundPortalLink } }> = async (c, next) => {
  await next();
  const found = c.get("portal") as FoundPortalLink | undefined;
  const ancestors = found?.link.frameAncestors ?? [];
  if (ancestors.length === 0) return;
  c.res.headers.set("content-security-policy", contentPolicy.replace("frame-ancestors 'none'", `frame-ancestors ${ancestors.join(" ")}`));
  c.res.headers.delete("x-frame-options");
};

/** Headers of every answer under `/dashboard`, redirects and errors included: no script but ours, no frame, no cache, no referrer. */
export function pageHeaders(publicUrl: string | null): MiddlewareHandler<DashboardEnv> {
  return async (c, next) => {
    await next();
    const { headers } = c.res;
    headers.set("content-security-policy", contentPolicy);
    headers.set("referrer-policy", referrerPolicyFor(c, publicUrl));
    headers.set("x-frame-options", "DENY");
    headers.set("cross-origin-opener-policy", "same-origin");
    headers.set("cross-origin-resource-policy", "same-origin");
    if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
  };
}

/**
 * Renders a page. It has one style sheet, no script but that of live pages, and loads nothing from another host. `answer` has the
 * status and headers of a page that shows a problem; without it the status is 200.
 */
export function page(
  c: Context<DashboardEnv>,
  { title, body, live: stream, isGauge = false }: Page,
  answer: { readonly status: number; readonly headers: Readonly<Record<string, string>> } | null = null,
): Response | Promise<Response> {
  // There is no session before the guard has run, although the type has one.
  const session = c.get("session") as Session | undefined;
  // A page that a refused form is answered with has no address of its own to be fetched from.
  const isLive = c.req.method === "GET" && (stream !== undefined || isGauge);
  const refreshes = isLive && c.req.query("refresh") === "on";
  const document = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        ${refreshes ? html`<meta http-equiv="refresh" content="${refreshSeconds}" />` : ""}
        <title>${title} · Ringback</title>
        ${raw(`<style>${style}</style>`)}
        ${
          !isLive || refreshes
            ? ""
            : stream === undefined
              ? html`<script src="${operatorScriptPath}" defer></script>`
              : html`<script src="${`/dashboard/${scriptName}`}" data-stream="${stream}" defer></script>`
        }
      </head>
      <body>
        ${session === undefined ? "" : navigation(c, session)}
        <main id="main">${body} ${isLive ? refreshLink(c.req.path, refreshes) : ""}</main>
        <footer>All times are UTC. Request <code>${c.get("requestId")}</code></footer>
      </body>
    </html>`;
  return c.html(document, (answer?.status ?? 200) as 200, { ...answer?.headers });
}

function navigation(c: Context<DashboardEnv>, { account, key }: Session): Html {
  const sections = account === null ? operatorSections : [...accountSections, ...(mayUse(c, "admin") ? adminSections : [])];
  const current = sections.findLast(({ path }) => c.req.path === path || c.req.path.startsWith(`${path}/`));
  return html`<a class="skip" href="#main">Skip to content</a>
    <header>
      <div>
        <span class="brand">Ringback</span>
        <nav aria-label="Dashboard">
          ${sections.map((section) =>
            section === current
              ? html`<a href="${section.path}" aria-current="true">${section.label}</a>`
              : html`<a href="${section.path}">${section.label}</a>`,
          )}
        </nav>
        <div class="who">
          <span class="quiet">${account === null ? `Operator, key ${key.name}` : `Account ${account.name}`}</span>
          ${actionForm(c, { scope: null, action: "/dashboard/sign-out", label: "Sign out" })}
        </div>
      </div>
    </header>`;
}

function refreshLink(path: string, refreshes: boolean): Html {
  if (refreshes) return html`<p class="quiet">Refreshes every ${refreshSeconds} s. <a href="${path}">Stop</a></p>`;
  return html`<noscript>
    <p class="quiet"><a href="${`${path}?refresh=on`}">Refresh every ${refreshSeconds} s</a></p>
  </noscript>`;
}
