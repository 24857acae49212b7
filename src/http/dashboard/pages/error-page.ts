import type { Context } from "hono";
import { html } from "hono/html";
import type { PageProblem } from "../page-error.ts";
import { isPortalPath } from "../portal/portal-links.ts";
import { page } from "../page.ts";
import { signInPage } from "../session/sign-in.ts";

/**
 * Base of the dashboard or of a portal, and the page whose form was sent: that of a resource, or the list on which the forms of its
 * kind stand.
 */
const subjectPath =
  /^((?:\/dashboard|\/portal\/[^/]+)\/)((?:watches|deliveries|endpoints)\/[^/]+(?=\/)|(?:watches|calls|endpoints|hooks|keys|portal-links)(?=\/|$))/;

/** Whether a path belongs to the dashboard or a portal. */
export function isDashboardPath(path: string): boolean {
  return path === "/dashboard" || path.startsWith("/dashboard/") || isPortalPath(path);
}

/** Renders a problem as a page. A request without a session gets the sign-in page. */
export function problemPage(c: Context, problem: PageProblem): Response | Promise<Response> {
  const { status, title, detail, errors = [], headers } = problem;
  if (status === 401) return signInPage(c, problem);
  const waitSeconds = headers["retry-after"];
  // A refused form returns to the page of its resource.
  const [, base, subject = ""] = (c.req.method === "POST" ? subjectPath.exec(c.req.path) : null) ?? [];
  const back = base === undefined ? null : `${base}${subject}`;
  return page(
    c,
    {
      title,
      body: html`<h1>${status} ${title}</h1>
        <p class="lead">${detail}</p>
        ${
          errors.length < 2
            ? ""
            : html`<ul>
                ${errors.map((error) => html`<li>${"parameter" in error ? error.parameter : error.pointer}: ${error.detail}</li>`)}
              </ul>`
        }
        ${waitSeconds === undefined ? "" : html`<p>Wait ${waitSeconds} s before you try again.</p>`}
        <p>${back === null ? "" : html`<a href="${back}">Back</a> · `}<a href="/dashboard">Overview</a></p>
        ${status >= 500 ? html`<p class="quiet">Search the service's log for the request id below.</p>` : ""}`,
    },
    { status, headers },
  );
}
