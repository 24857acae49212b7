import type { ManualRefusal } from "../../ports/use-cases/manual-delivery.ts";
import { ProblemError, notFound, tooMany } from "./problem.ts";

/** Maps the refusal of a manual retry, test or recovery to its problem. */
export function manualError(refusal: ManualRefusal, what: "endpoint" | "delivery"): ProblemError {
  switch (refusal.kind) {
    case "unknown":
      return notFound(what);
    case "endpoint_disabled":
      return new ProblemError({ slug: "endpoint-disabled" });
    case "watch_deleted":
      return new ProblemError({ slug: "watch-deleted" });
    case "in_flight":
      return new ProblemError({ slug: "in-flight" });
    case "rate_limited":
      return tooMany("rate-limited", "one test or retry a second and endpoint", refusal.retryAfterMs);
    case "interrupted":
      return new ProblemError({ slug: "interrupted" });
  }
}
