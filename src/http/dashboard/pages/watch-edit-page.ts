import type { Context, Hono } from "hono";
import { html } from "hono/html";
import type { Watch } from "../../../domain/calls/watch.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { checkBody } from "../../operations/operation.ts";
import { notFound, ProblemError } from "../../operations/problem.ts";
import { refusalError } from "../../operations/refusal.ts";
import { watchChangeOf, watchPatchSchema } from "../../schemas/watch-request.ts";
import type { DashboardEnv } from "../dashboard-env.ts";
import { linkTo, pathOf, sidText } from "../elements.ts";
import { actionForm } from "../form.ts";
import { areaField, textField } from "../forms/controls.ts";
import { inputTime, timeIn, typedIn } from "../forms/given.ts";
import { linesOfMetadata, metadataIn } from "../forms/metadata.ts";
import { faultsOf, orShownAgain, problemBox } from "../forms/shown-again.ts";
import { redirectWith } from "../notice.ts";
import { page } from "../page.ts";
import type { PageProblem } from "../page-error.ts";
import { needsScope } from "../session/scope-guard.ts";

/** Page that changes an active watch: its metadata, and until when it is watched. */
export function addWatchEditPage(dashboard: Hono<DashboardEnv>, { store, registration }: HttpDependencies): void {
  const find = async (c: Context<DashboardEnv>): Promise<Watch> => {
    const view = await store.getWatch(c.get("account").id, c.req.param("id") ?? "");
    if (view === null) throw notFound("watch");
    return view.watch;
  };
  const show = async (c: Context<DashboardEnv>, problem: PageProblem | null = null) => {
    const watch = await find(c);
    if (watch.status !== "active") throw new ProblemError({ slug: "watch-ended" });
    const path = pathOf("watches", watch.id);
    return page(
      c,
      {
        title: "Change a watch",
        body: html`<h1>Change a watch</h1>
          ${problemBox(problem)}
          <p>${linkTo("watches", watch.id, sidText(watch.callSid))}</p>
          ${actionForm(c, {
            scope: "watch",
            action: `${path}/edit`,
            label: "Save",
            isMain: true,
            fields: html`<div class="stacked wide">
              ${areaField({
                name: "metadata",
                label: "Metadata, one pair a line: lead_id=00Q5g000",
                hint: "Replaces all pairs, for the events that are written from now on.",
                value: typedIn(c, "metadata", linesOfMetadata(watch.metadata)),
                rows: 5,
                faults: faultsOf(problem, "metadata"),
              })}
              ${textField({
                name: "expires_at",
                label: "Watched until (UTC)",
                hint: "24 hours from now if empty, 7 days at most.",
                type: "datetime-local",
                value: typedIn(c, "expires_at", inputTime(watch.expiresAtMs)),
                faults: faultsOf(problem, "expires_at"),
              })}
            </div>`,
          })}
          <p><a href="${path}">Cancel</a></p>`,
      },
      problem,
    );
  };

  dashboard.get("/watches/:id/edit", needsScope("watch"), (c) => show(c));

  dashboard.post("/watches/:id/edit", needsScope("watch"), (c) =>
    orShownAgain(
      async () => {
        const { id, expiresAtMs } = await find(c);
        const untilMs = timeIn(c, "expires_at");
        // The field has no seconds: what was not changed is not sent.
        const isAsBefore = untilMs !== undefined && c.get("form").get("expires_at") === inputTime(expiresAtMs);
        const body = checkBody(watchPatchSchema, {
          metadata: metadataIn(c),
          ...(isAsBefore ? {} : { expires_at: untilMs === undefined ? null : new Date(untilMs).toISOString() }),
        });
        const outcome = await registration.changeWatch(c.get("account"), id, watchChangeOf(body));
        if (outcome.kind === "unknown") throw notFound("watch");
        if (outcome.kind === "ended") throw new ProblemError({ slug: "watch-ended" });
        if (outcome.kind !== "changed") throw refusalError(outcome);
        return redirectWith(c, pathOf("watches", id), "watch-changed");
      },
      (problem) => show(c, problem),
    ),
  );
}
