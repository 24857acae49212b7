import { createHash } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { html, raw } from "hono/html";
import type { DashboardEnv, Html } from "./dashboard-env.ts";
import { actionForm } from "./form.ts";
import { referrerPolicyFor } from "./session/request-origin.ts";
import type { Session } from "./session/session.ts";
import { style } from "./style.ts";

const sections = [
  { path: "/dashboard", label: "Overview" },
  { path: "/dashboard/watches", label: "Watches" },
  { path: "/dashboard/deliveries", label: "Deliveries" },
  { path: "/dashboard/endpoints", label: "Endpoints" },
  { path: "/dashboard/hooks", label: "Hooks" },
];

export type Page = {
  readonly title: string;
  readonly body: Html;
  /** Whether the page offers to refresh itself every few seconds. */
  readonly refreshable?: boolean;
};

const refreshSeconds = 10;
const contentPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Headers of every answer under `/dashboard`, redirects and errors included: no script, no frame, no cache, no referrer. */
export function pageHeaders(publicUrl: string | null): MiddlewareHandler<DashboardEnv> {
  return async (c, next) => {
    await next();
    const { headers } = c.res;
    headers.set("content-security-policy", contentPolicy);
    headers.set("referrer-policy", referrerPolicyFor(c, publicUrl));
    headers.set("x-frame-options", "DENY");
    headers.set("cross-origin-opener-policy", "same-origin");
    headers.set("cross-origin-resource-policy", "same-origin");
    headers.set("cache-control", "no-store");
  };
}

/** Renders a page. It has one style sheet, no script, and loads nothing from another host. */
export function page(
  c: Context<DashboardEnv>,
  { title, body, refreshable = false }: Page,
  { status = 200, headers = {} }: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): Response | Promise<Response> {
  // There is no session before the guard has run, although the type has one.
  const session = c.get("session") as Session | undefined;
  const refreshes = refreshable && c.req.query("refresh") === "on";
  const document = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        ${refreshes ? html`<meta http-equiv="refresh" content="${refreshSeconds}" />` : ""}
        <title>${title} · Ringback</title>
        ${raw(`<style>${style}</style>`)}
      </head>
      <body>
        ${session === undefined ? "" : navigation(c, session)}
        <main id="main">${body} ${refreshable ? refreshLink(c.req.path, refreshes) : ""}</main>
        <footer>All times are UTC. Request <code>${c.get("requestId")}</code></footer>
      </body>
    </html>`;
  return c.html(document, status as 200, { ...headers });
}

function navigation(c: Context<DashboardEnv>, { account }: Session): Html {
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
          <span class="quiet">Account ${account.name}</span>
          ${actionForm(c, { action: "/dashboard/sign-out", label: "Sign out" })}
        </div>
      </div>
    </header>`;
}

function refreshLink(path: string, refreshes: boolean): Html {
  return html`<p class="quiet">
    ${
      refreshes
        ? html`Refreshes every ${refreshSeconds} s. <a href="${path}">Stop</a>`
        : html`<a href="${`${path}?refresh=on`}">Refresh every ${refreshSeconds} s</a>`
    }
  </p>`;
}
