import { actorOf } from "../operations/actor.ts";
import type { Hono } from "hono";
import type { HttpDependencies } from "../operations/dependencies.ts";
import { manualError } from "../operations/manual-delivery-problem.ts";
import { notFound, unprocessable } from "../operations/problem.ts";
import type { DashboardEnv } from "./dashboard-env.ts";
import { pathOf } from "./elements.ts";
import { timeIn, utcOf } from "./forms/given.ts";
import { needsScope } from "./session/scope-guard.ts";
import { redirectWith } from "./notice.ts";

/** Actions of the forms on an endpoint's page. */
export function addEndpointActions(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { endpointSettings, manualDelivery, clock } = dependencies;

  dashboard.post("/endpoints/:id/test", needsScope("endpoints"), async (c) => {
    const id = c.req.param("id");
    const outcome = await manualDelivery.test(c.get("account"), id, null);
    if (outcome.kind !== "attempted") throw manualError(outcome, "endpoint");
    return redirectWith(c, pathOf("endpoints", id), outcome.attempt.decision === "delivered" ? "test-delivered" : "test-failed");
  });

  dashboard.post("/endpoints/:id/state", needsScope("endpoints"), async (c) => {
    const id = c.req.param("id");
    const state = c.get("form").get("state");
    if (state !== "enabled" && state !== "paused" && state !== "disabled")
      throw unprocessable([{ parameter: "state", detail: "must be enabled, paused or disabled" }]);
    if ((await endpointSettings.patch(c.get("account"), id, { state }, actorOf(c, "dashboard"))) === null) throw notFound("endpoint");
    return redirectWith(c, pathOf("endpoints", id), `endpoint-${state}`);
  });

  dashboard.post("/endpoints/:id/recover", needsScope("endpoints"), async (c) => {
    const id = c.req.param("id");
    const sinceMs = utcOf("since", c.get("form").get("since") ?? "");
    const untilMs = timeIn(c, "until") ?? clock.nowMs();
    if (untilMs < sinceMs) throw unprocessable([{ parameter: "until", detail: "must not be before since" }]);
    const outcome = await manualDelivery.recover(c.get("account"), id, { sinceMs, untilMs }, null, actorOf(c, "dashboard"));
    if (outcome.kind !== "recovered") throw manualError(outcome, "endpoint");
    return redirectWith(c, pathOf("endpoints", id), outcome.recovered === 0 && outcome.hurried === 0 ? "recovered-nothing" : "recovered");
  });
}
