import type { ManualRefusal } from "../../ports/use-cases/manual-delivery.ts";
import type { IdempotencyKeyInUse } from "../../ports/use-cases/idempotency.ts";
import { ProblemError, notFound, tooMany } from "./problem.ts";

/** Maps the refusal of a manual retry, test or recovery to its problem. A key in use was answered before. */
export function manualError(refusal: ManualRefusal | IdempotencyKeyInUse, what: "endpoint" | "delivery"): ProblemError {
  switch (refusal.kind) {
    case "key_taken":
      throw new Error("a key in use has an answer of its own");
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
    case "over_budget":
      return tooMany(
        "rate-limited",
        "as many retries and tests are under way as may be; repeat this when one has ended, or use POST /v1/endpoints/{id}/recover for many deliveries",
        refusal.retryAfterMs,
      );
    case "interrupted":
      return new ProblemError({ slug: "interrupted" });
  }
}
