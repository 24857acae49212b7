import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { isoTime } from "../../../domain/events/payload.ts";
import type { RotationOutcome } from "../../../ports/use-cases/endpoint-settings.ts";
import { actorOf } from "../../operations/actor.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { checkBody } from "../../operations/operation.ts";
import { notFound } from "../../operations/problem.ts";
import { rotationOf, rotationSchema } from "../../schemas/endpoint-change.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { definitionList, linkTo, longText, pathOf } from "../elements.ts";
import { actionForm } from "../form.ts";
import { selectField } from "../forms/controls.ts";
import { formKeyField, onceFor } from "../forms/form-key.ts";
import { numberOf, textOf, typedIn } from "../forms/given.ts";
import { signingSecretField } from "../forms/signing-secret-field.ts";
import { faultsOf, orShownAgain, problemBox } from "../forms/shown-again.ts";
import { page } from "../page.ts";
import type { PageProblem } from "../page-error.ts";
import { needsKey, needsScope } from "../session/scope-guard.ts";
import { timeOf } from "../time.ts";

const graces = [
  ["86400", "a day"],
  ["604800", "7 days"],
  ["3600", "an hour"],
  ["0", "not at all: only the new secret signs"],
] as const;

/** Pages that rotate the signing secret of an endpoint. They do not exist in a portal. */
export function addRotationPages(dashboard: Hono<DashboardEnv>, { store, endpointSettings, idempotency, clock }: HttpDependencies): void {
  const show = async (c: Context<DashboardEnv>, problem: PageProblem | null = null) => {
    const view = await store.getEndpoint(c.get("account").id, c.req.param("id") ?? "");
    if (view === null) throw notFound("endpoint");
    const { id, url } = view.endpoint;
    return page(
      c,
      {
        title: "Rotate the signing secret",
        body: html`<h1>Rotate the signing secret</h1>
          ${problemBox(problem)}
          <p>${linkTo("endpoints", id, longText(url))}</p>
          <p>
            The new secret signs every webhook from now on. The previous one signs too for a while, so that the receiver can change over. A
            rotation ends the secret before that one.
          </p>
          ${actionForm(c, {
            scope: "endpoints",
            action: `${pathOf("endpoints", id)}/rotate`,
            label: "Rotate the secret",
            danger: true,
            fields: html`${formKeyField()}
              <div class="stacked">
                ${selectField({
                  name: "grace_seconds",
                  label: "How long the previous secret signs too",
                  choices: graces,
                  chosen: typedIn(c, "grace_seconds", "86400"),
                  faults: faultsOf(problem, "grace_seconds"),
                })}
                ${signingSecretField(faultsOf(problem, "signing_secret"))}
              </div>`,
          })}
          <p><a href="${pathOf("endpoints", id)}">Cancel</a></p>`,
      },
      problem,
    );
  };

  dashboard.get("/endpoints/:id/rotate", needsScope("endpoints"), needsKey, (c) => show(c));

  dashboard.post("/endpoints/:id/rotate", needsScope("endpoints"), needsKey, (c) =>
    orShownAgain(
      async () => {
        const id = c.req.param("id");
        const body = checkBody(rotationSchema, {
          grace_seconds: numberOf(c, "grace_seconds"),
          signing_secret: textOf(c, "signing_secret"),
        });
        const request = rotationOf(body);
        const by = actorOf(c, "dashboard");
        const shown = await onceFor(
          c,
          idempotency,
          (keyed) => endpointSettings.rotateSecret(c.get("account"), id, request, keyed, by),
          (outcome: RotationOutcome) => {
            if (outcome.kind === "unknown") throw notFound("endpoint");
            return { secret: outcome.signingSecret, previousUntil: isoTime(outcome.previousValidUntilMs) };
          },
        );
        return page(c, {
          title: "Secret rotated",
          body: html`<h1>Secret rotated</h1>
            <p class="notice good" role="status">Copy the secret now and give it to the receiver: it is shown only here.</p>
            ${definitionList([
              ["Signing secret", html`<code class="secret">${shown.secret}</code>`],
              ["The previous one signs until", timeOf(shown.previousUntil, clock.nowMs())],
              ["Endpoint", linkTo("endpoints", id)],
            ])}`,
        });
      },
      (problem) => show(c, problem),
    ),
  );
}
