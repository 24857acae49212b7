import type { Context, Hono } from "hono";
import { html } from "hono/html";
import type { DefaultSecretOutcome } from "../../../ports/use-cases/endpoint-settings.ts";
import { actorOf } from "../../operations/actor.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { checkBody } from "../../operations/operation.ts";
import { defaultSecretSchema } from "../../schemas/default-secret.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { definitionList } from "../elements.ts";
import { actionForm } from "../form.ts";
import { formKeyField, onceFor } from "../forms/form-key.ts";
import { textOf } from "../forms/given.ts";
import { signingSecretField } from "../forms/signing-secret-field.ts";
import { faultsOf, orShownAgain, problemBox } from "../forms/shown-again.ts";
import { page } from "../page.ts";
import type { PageProblem } from "../page-error.ts";
import { needsKey, needsScope } from "../session/scope-guard.ts";

export const defaultSecretPath = "/dashboard/signing-secret";

function show(c: Context<DashboardEnv>, problem: PageProblem | null = null): Response | Promise<Response> {
  return page(
    c,
    {
      title: "Signing secret of the account",
      body: html`<h1>Signing secret of the account</h1>
        ${problemBox(problem)}
        <p>
          Endpoints that are made from now on sign with it, unless they are given one of their own. Those that are there keep theirs: the
          page of an endpoint rotates it.
        </p>
        ${actionForm(c, {
          scope: "admin",
          action: defaultSecretPath,
          label: "Set the signing secret",
          danger: true,
          fields: html`${formKeyField()}
            <div class="stacked">${signingSecretField(faultsOf(problem, "signing_secret"))}</div>`,
        })}
        <p><a href="/dashboard">Cancel</a></p>`,
    },
    problem,
  );
}

/** Page that sets the signing secret of the account's new endpoints. It does not exist in a portal. */
export function addDefaultSecretPage(dashboard: Hono<DashboardEnv>, { endpointSettings, idempotency }: HttpDependencies): void {
  dashboard.get("/signing-secret", needsScope("admin"), needsKey, (c) => show(c));

  dashboard.post("/signing-secret", needsScope("admin"), needsKey, (c) =>
    orShownAgain(
      async () => {
        const given = textOf(c, "signing_secret");
        const own = given === undefined ? null : checkBody(defaultSecretSchema, { signing_secret: given }).signing_secret;
        const shown = await onceFor(
          c,
          idempotency,
          (keyed) => endpointSettings.setDefaultSecret(c.get("account"), own, keyed, actorOf(c, "dashboard")),
          ({ signingSecret }: DefaultSecretOutcome) => ({ secret: signingSecret }),
        );
        return page(c, {
          title: "Signing secret set",
          body: html`<h1>Signing secret set</h1>
            <p class="notice good" role="status">Copy the secret now and give it to the receivers: it is shown only here.</p>
            ${definitionList([
              ["Signing secret", html`<code class="secret">${shown.secret}</code>`],
              ["Signs for", "endpoints that are made from now on"],
            ])}
            <p><a href="/dashboard/endpoints">All endpoints</a></p>`,
        });
      },
      (problem) => show(c, problem),
    ),
  );
}
