import type { ManualRefusal } from "../../ports/use-cases/manual-delivery.ts";
import { ProblemError, notFound, tooMany } from "./problem.ts";

/** Maps the refusal of a manual retry, test or recovery to its problem. */
export function manualError(refusal: ManualRefusal, what: "endpoint" | "delivery"): ProblemError {
  switch (refusal.kind) {
    case "unknown":
      return notFound(what);
    case "endpoint_disabled":
      return new ProblemError({ slug: "endpoint-disabled", detail: "the endpoint is disabled: enable it first (PATCH state)" });
    case "watch_deleted":
      return new ProblemError({ slug: "watch-deleted", detail: "the watch was deleted, so its events are no longer sent" });
    case "in_flight":
      return new ProblemError({ slug: "in-flight", detail: "an attempt of the delivery is in flight" });
    case "rate_limited":
      return tooMany("rate-limited", "one test or retry a second and endpoint", refusal.retryAfterMs);
    case "interrupted":
      return new ProblemError({
        slug: "interrupted",
        detail: "the attempt was accepted, but its result could not be recorded; check GET /v1/deliveries",
        headers: { "retry-after": "1" },
      });
  }
}
