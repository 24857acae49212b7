import type { Context } from "hono";
import { html } from "hono/html";
import type { DashboardEnv, Html } from "./dashboard-env.ts";
import { actionForm, mayUse } from "./form.ts";

export const endpointsPath = "/dashboard/endpoints";
export const bulkRecoveryPath = `${endpointsPath}/recover`;

const dayMs = 86_400_000;

/** Renders the span of a recovery, the last day to begin with. */
export function recoveryFields(nowMs: number): Html {
  const dayAgo = new Date(nowMs - dayMs).toISOString().slice(0, 16);
  return html`<div class="filter">
    <div>
      <label for="since">From (UTC)</label>
      <input id="since" name="since" type="datetime-local" required value="${dayAgo}" />
    </div>
    <div>
      <label for="until">To (UTC, now if empty)</label>
      <input id="until" name="until" type="datetime-local" />
    </div>
  </div>`;
}

/** Renders the form that recovers every failing endpoint; nothing if the session may not. */
export function bulkRecoveryForm(c: Context<DashboardEnv>, nowMs: number): Html | "" {
  if (!mayUse(c, "endpoints")) return "";
  return html`<h2>Recover all failing endpoints</h2>
    <p>
      Requeues every exhausted, failed or expired delivery of the span, of every endpoint that fails and is not disabled. What waits for its
      schedule is due now.
    </p>
    ${actionForm(c, { scope: "endpoints", action: bulkRecoveryPath, label: "Recover all failing endpoints", fields: recoveryFields(nowMs) })}`;
}
