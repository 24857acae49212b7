import type { Context } from "hono";
import { html } from "hono/html";
import type { PageProblem } from "../page-error.ts";
import { page } from "../page.ts";
import { signInPage } from "../session/sign-in.ts";

const subjectPath = /^\/dashboard\/(?:watches|deliveries|endpoints)\/[^/]+(?=\/)/;

/** Whether a path belongs to the dashboard. */
export function isDashboardPath(path: string): boolean {
  return path === "/dashboard" || path.startsWith("/dashboard/");
}

/** Renders a problem as a page. A request without a session gets the sign-in page. */
export function problemPage(c: Context, problem: PageProblem): Response | Promise<Response> {
  const { status, title, detail, errors = [], headers } = problem;
  if (status === 401) return signInPage(c, problem);
  const waitSeconds = headers["retry-after"];
  // A refused form returns to the page of its resource.
  const back = c.req.method === "POST" ? (subjectPath.exec(c.req.path)?.[0] ?? null) : null;
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
