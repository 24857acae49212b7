import type { Context } from "hono";
import { html } from "hono/html";
import { holdsScope } from "../../domain/secrets/key-scopes.ts";
import type { KeyScope } from "../../domain/secrets/key-scopes.ts";
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

/** Whether the session may do what needs the scope. */
export function mayUse(c: Context<DashboardEnv>, scope: KeyScope): boolean {
  const { scopes, accountId } = c.get("session").key;
  return accountId !== null && holdsScope(scopes, scope);
}

/** Renders a button that posts an action, with the fields it needs; nothing if the session's key does not have the scope. */
export function actionForm(
  c: Context<DashboardEnv>,
  {
    scope,
    action,
    label,
    fields = "",
    danger = false,
    isMain = false,
    buttonName,
    more = "",
  }: {
    /** `null`: every session may. */
    readonly scope: KeyScope | null;
    readonly action: string;
    readonly label: string;
    readonly fields?: Html | string;
    readonly danger?: boolean;
    /** Whether it is what the page is for, so that its button stands out. */
    readonly isMain?: boolean;
    /** Name of the button for screen readers, where several buttons have the same label. */
    readonly buttonName?: string;
    /** Further buttons, behind the one that posts the action. */
    readonly more?: Html | string;
  },
): Html {
  if (scope !== null && !mayUse(c, scope)) return html``;
  const tone = danger ? "danger" : isMain ? "main" : "plain";
  const button =
    buttonName === undefined
      ? html`<button type="submit" class="${tone}">${label}</button>`
      : html`<button type="submit" class="${tone}" aria-label="${buttonName}">${label}</button>`;
  return html`<form method="post" action="${action}">
    <input type="hidden" name="${tokenField}" value="${c.get("session").formToken}" />
    ${fields} ${more === "" ? button : html`<div class="actions">${button} ${more}</div>`}
  </form>`;
}
