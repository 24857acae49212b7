import { html } from "hono/html";
import type { attemptJson } from "../../schemas/json.ts";
import type { Html } from "../dashboard-env.ts";
import { badge, preformatted } from "../elements.ts";
import { timeOf } from "../time.ts";

type AttemptJson = ReturnType<typeof attemptJson>;

/** Renders an attempt in one line. */
export function attemptLine(attempt: AttemptJson, nowMs: number): Html {
  return html`<div class="line">
    <span>Attempt ${attempt.number}</span> ${timeOf(attempt.started_at, nowMs)}
    <span>${resultOf(attempt)}</span>
    <span class="quiet">${attempt.duration_ms} ms</span> ${badge(attempt.decision)}
  </div>`;
}

/** Renders an attempt in full. */
export function attemptItem(attempt: AttemptJson, nowMs: number): Html {
  return html`<li>
    ${attemptLine(attempt, nowMs)}
    ${
      attempt.response_excerpt === null || attempt.response_excerpt === ""
        ? ""
        : html`<p class="quiet">The answer began with:</p>
            ${preformatted(attempt.response_excerpt)}`
    }
  </li>`;
}

function resultOf({ status_code: statusCode, error }: AttemptJson): string {
  if (error === null) return `answered ${statusCode ?? ""}`;
  return error.code === "status" ? error.detail : `${error.code}: ${error.detail}`;
}
