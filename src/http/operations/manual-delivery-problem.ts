import type { ManualRefusal } from "../../ports/use-cases/manual-delivery.ts";
import { ProblemError, notFound, tooMany } from "./problem.ts";

/** Why a test or retry by hand was not made. */
export function manualError(refusal: ManualRefusal, what: "endpoint" | "delivery"): ProblemError {
  switch (refusal.kind) {
    case "unknown":
      return notFound(what);
    case "endpoint_disabled":
      return new ProblemError({ slug: "endpoint-disabled", detail: "the endpoint is disabled: enable it first (PATCH state)" });
    case "watch_deleted":
      return new ProblemError({ slug: "watch-deleted", detail: "the watch was deleted: nothing of it is sent any more" });
    case "in_flight":
      return new ProblemError({ slug: "in-flight", detail: "an attempt of it is on the wire at this moment" });
    case "rate_limited":
      return tooMany("rate-limited", "one test or retry a second and endpoint", refusal.retryAfterMs);
    case "interrupted":
      return new ProblemError({
        slug: "interrupted",
        detail: "the attempt was accepted, but what came of it could not be recorded; GET /v1/deliveries tells",
        headers: { "retry-after": "1" },
      });
  }
}
