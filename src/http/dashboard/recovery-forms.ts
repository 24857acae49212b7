import type { Context } from "hono";
import { html } from "hono/html";
import { unprocessable } from "../operations/problem.ts";
import type { DashboardEnv, Html } from "./dashboard-env.ts";
import { actionForm, mayUse } from "./form.ts";
import { textField } from "./forms/controls.ts";
import { inputTime, timeIn, typedIn, utcOf } from "./forms/given.ts";
import { faultsOf } from "./forms/shown-again.ts";
import type { PageProblem } from "./page-error.ts";

export const endpointsPath = "/dashboard/endpoints";
export const bulkRecoveryPath = `${endpointsPath}/recover`;

const dayMs = 86_400_000;

/** Renders the span of a recovery, the last day to begin with. */
export function recoveryFields(c: Context<DashboardEnv>, nowMs: number, problem: PageProblem | null): Html {
  return html`<div class="filter">
    ${textField({
      name: "since",
      label: "From (UTC)",
      type: "datetime-local",
      required: true,
      value: typedIn(c, "since", inputTime(nowMs - dayMs)),
      faults: faultsOf(problem, "since"),
    })}
    ${textField({
      name: "until",
      label: "To (UTC, now if empty)",
      type: "datetime-local",
      value: typedIn(c, "until"),
      faults: faultsOf(problem, "until"),
    })}
  </div>`;
}

/** Reads the span of a recovery. */
export function recoverySpanIn(c: Context<DashboardEnv>, nowMs: number): { readonly sinceMs: number; readonly untilMs: number } {
  const sinceMs = utcOf("since", c.get("form").get("since") ?? "");
  const untilMs = timeIn(c, "until") ?? nowMs;
  if (untilMs < sinceMs) throw unprocessable([{ parameter: "until", detail: "must not be before since" }]);
  return { sinceMs, untilMs };
}

/** Renders the form that recovers every failing endpoint; nothing if the session may not. */
export function bulkRecoveryForm(c: Context<DashboardEnv>, nowMs: number, problem: PageProblem | null): Html | "" {
  if (!mayUse(c, "endpoints")) return "";
  return html`<h2>Recover all failing endpoints</h2>
    <p>
      Requeues every exhausted, failed or expired delivery of the span, of every endpoint that fails and is not disabled. What waits for its
      schedule is due now.
    </p>
    ${actionForm(c, {
      scope: "endpoints",
      action: bulkRecoveryPath,
      label: "Recover all failing endpoints",
      fields: recoveryFields(c, nowMs, problem),
    })}`;
}
