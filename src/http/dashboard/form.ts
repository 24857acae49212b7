import type { Context } from "hono";
import { html } from "hono/html";
import { ProblemError } from "../operations/problem.ts";
import { readBody } from "../operations/request-body.ts";
import type { DashboardEnv, Html } from "./dashboard-env.ts";

const formType = "application/x-www-form-urlencoded";

/** Name of the field that holds a session's form token. */
const tokenField = "token";

/** Reads the fields of a form; if a field is sent twice, the first one counts. */
export async function readForm(c: Context<DashboardEnv>): Promise<URLSearchParams> {
  const bytes = await readBody(c, "form");
  if (c.req.header("content-type")?.split(";", 1)[0]?.trim().toLowerCase() !== formType)
    throw new ProblemError({
      slug: "unsupported-media-type",
      detail: `send content-type: ${formType}`,
    });
  return new URLSearchParams(new TextDecoder().decode(bytes));
}

export function formTokenOf(form: URLSearchParams): string {
  return form.get(tokenField) ?? "";
}

/** Renders a button that posts an action, with the fields it needs. */
export function actionForm(
  c: Context<DashboardEnv>,
  {
    action,
    label,
    fields = "",
    danger = false,
  }: { readonly action: string; readonly label: string; readonly fields?: Html | string; readonly danger?: boolean },
): Html {
  return html`<form method="post" action="${action}">
    <input type="hidden" name="${tokenField}" value="${c.get("session").formToken}" />
    ${fields}
    <button type="submit" class="${danger ? "danger" : "plain"}">${label}</button>
  </form>`;
}
