import { actorOf } from "../operations/actor.ts";
import type { Context, Hono } from "hono";
import type { HttpDependencies } from "../operations/dependencies.ts";
import { manualError } from "../operations/manual-delivery-problem.ts";
import { notFound, unprocessable } from "../operations/problem.ts";
import type { DashboardEnv } from "./dashboard-env.ts";
import { pathOf } from "./elements.ts";
import { orShownAgain } from "./forms/shown-again.ts";
import { redirectWith } from "./notice.ts";
import { showEndpoint } from "./pages/endpoint-page.ts";
import { recoverySpanIn } from "./recovery-forms.ts";
import { needsScope } from "./session/scope-guard.ts";

/** Actions of the forms on an endpoint's page, which is shown again with what one is refused with. */
export function addEndpointActions(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { endpointSettings, manualDelivery, clock } = dependencies;
  const add = (name: string, act: (c: Context<DashboardEnv>, id: string) => Promise<Response>) =>
    dashboard.post(`/endpoints/:id/${name}`, needsScope("endpoints"), (c) =>
      orShownAgain(
        () => act(c, c.req.param("id") ?? ""),
        (problem) => showEndpoint(c, dependencies, problem),
      ),
    );

  add("test", async (c, id) => {
    const outcome = await manualDelivery.test(c.get("account"), id, null);
    if (outcome.kind !== "attempted") throw manualError(outcome, "endpoint");
    return redirectWith(c, pathOf("endpoints", id), outcome.attempt.decision === "delivered" ? "test-delivered" : "test-failed");
  });

  add("state", async (c, id) => {
    const state = c.get("form").get("state");
    if (state !== "enabled" && state !== "paused" && state !== "disabled")
      throw unprocessable([{ parameter: "state", detail: "must be enabled, paused or disabled" }]);
    if ((await endpointSettings.patch(c.get("account"), id, { state }, actorOf(c, "dashboard"))) === null) throw notFound("endpoint");
    return redirectWith(c, pathOf("endpoints", id), `endpoint-${state}`);
  });

  add("recover", async (c, id) => {
    const span = recoverySpanIn(c, clock.nowMs());
    const outcome = await manualDelivery.recover(c.get("account"), id, span, null, actorOf(c, "dashboard"));
    if (outcome.kind !== "recovered") throw manualError(outcome, "endpoint");
    return redirectWith(c, pathOf("endpoints", id), outcome.recovered === 0 && outcome.hurried === 0 ? "recovered-nothing" : "recovered");
  });
}
