import type { Attempt } from "../../domain/deliveries/attempt.ts";
import { classifyAttempt } from "../../domain/deliveries/response-class.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";

/** Returns what an integrator can do about a failed attempt; `null` if nothing needs doing. */
export function adviceOn(attempt: Pick<Attempt, "statusCode" | "error">): string | null {
  return attempt.error === null ? null : classifyAttempt(attempt).advice;
}

/** What a source's state means to those who wait for its calls; null: all is well. */
export function adviceOnSource({ state, reason }: Pick<SourceHealth, "state" | "reason">): string | null {
  switch (state) {
    case "ok":
      return null;
    case "unproven":
      return "Has not answered with a status in the last minutes (or there was nothing to ask): an ending by 400 or 404 is not believed yet.";
    case "slowed":
      return reason === "interval" ? "Watches more calls than its rate polls in time." : "Answered 429: all calls are polled more slowly.";
    case "circuit_open":
      return "Most polls fail: one probe at a time, until it answers again.";
    case "suspended":
      return reason === "misconfigured"
        ? "Answers 400 or 404 to everything: base URL, agent or environment may be wrong. No watch ends meanwhile."
        : "Refuses the credential: the operator has to renew it. Watches stay active meanwhile.";
  }
}
