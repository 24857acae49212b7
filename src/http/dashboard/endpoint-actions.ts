import type { Hono } from "hono";
import type { HttpDependencies } from "../operations/dependencies.ts";
import { manualError } from "../operations/manual-delivery-problem.ts";
import { notFound, unprocessable } from "../operations/problem.ts";
import { timeField } from "../schemas/fields.ts";
import type { DashboardEnv } from "./dashboard-env.ts";
import { pathOf } from "./elements.ts";
import { redirectWith } from "./notice.ts";

/** Actions of the forms on an endpoint's page. */
export function addEndpointActions(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { endpointSettings, manualDelivery, clock } = dependencies;

  dashboard.post("/endpoints/:id/test", async (c) => {
    const id = c.req.param("id");
    const outcome = await manualDelivery.test(c.get("account"), id, null);
    if (outcome.kind !== "attempted") throw manualError(outcome, "endpoint");
    return redirectWith(c, pathOf("endpoints", id), outcome.attempt.decision === "delivered" ? "test-delivered" : "test-failed");
  });

  dashboard.post("/endpoints/:id/state", async (c) => {
    const id = c.req.param("id");
    const state = c.get("form").get("state");
    if (state !== "enabled" && state !== "paused") throw unprocessable([{ parameter: "state", detail: "must be enabled or paused" }]);
    if ((await endpointSettings.patch(c.get("account"), id, { state })) === null) throw notFound("endpoint");
    return redirectWith(c, pathOf("endpoints", id), `endpoint-${state}`);
  });

  dashboard.post("/endpoints/:id/recover", async (c) => {
    const id = c.req.param("id");
    const form = c.get("form");
    const until = form.get("until") ?? "";
    const sinceMs = timeOf("since", form.get("since") ?? "");
    const untilMs = until === "" ? clock.nowMs() : timeOf("until", until);
    if (untilMs < sinceMs) throw unprocessable([{ parameter: "until", detail: "must not be before since" }]);
    const outcome = await manualDelivery.recover(c.get("account"), id, { sinceMs, untilMs }, null);
    if (outcome.kind !== "recovered") throw manualError(outcome, "endpoint");
    return redirectWith(c, pathOf("endpoints", id), outcome.count === 0 ? "recovered-nothing" : "recovered");
  });
}

/** Parses a `datetime-local` value. It has no time zone and is read as UTC, as its label states. */
function timeOf(parameter: string, text: string): number {
  const { data } = timeField.safeParse(text.endsWith("Z") ? text : `${text}Z`);
  if (data === undefined) throw unprocessable([{ parameter, detail: "must be a time as in 2026-11-24T12:00" }]);
  return data;
}
