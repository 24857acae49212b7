import type { Attempt } from "../../domain/deliveries/attempt.ts";
import { classifyAttempt } from "../../domain/deliveries/response-class.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";

/** Returns advice on a failed attempt; `null` if nothing needs to be done. */
export function adviceOn(attempt: Pick<Attempt, "statusCode" | "error">): string | null {
  return attempt.error === null ? null : classifyAttempt(attempt).advice;
}

/** Returns what went wrong in an attempt, in a few words. */
export function failureText({ code, detail }: NonNullable<Attempt["error"]>): string {
  return code === "status" ? detail : `${code}, ${detail}`;
}

/** Explains what a source's state means for its calls; `null` if the source is healthy. */
export function adviceOnSource({ state, reason }: Pick<SourceHealth, "state" | "reason">): string | null {
  switch (state) {
    case "ok":
      return null;
    case "unproven":
      return "Has not returned a status in the last minutes, or no call was polled. An ending by 400 or 404 is not accepted yet.";
    case "slowed":
      return reason === "interval"
        ? "Has more calls than its rate limit can poll in time."
        : "Answered 429, so all calls are polled more slowly.";
    case "circuit_open":
      return "Most polls fail. One probe at a time is sent until the source answers again.";
    case "suspended":
      return reason === "misconfigured"
        ? "Answers 400 or 404 to every poll. Base URL, agent or environment may be wrong. No watch ends meanwhile."
        : "Refuses the credential. The operator must renew it. Watches stay active meanwhile.";
  }
}
