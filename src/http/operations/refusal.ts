import type { Refusal } from "../../ports/use-cases/registration.ts";
import { ProblemError, tooMany, unprocessable } from "./problem.ts";

/** Maps a refused registration to its problem. */
export function refusalError(refusal: Refusal): ProblemError {
  switch (refusal.kind) {
    case "invalid":
      return unprocessable(refusal.errors, refusal.slug);
    case "conflict":
      return new ProblemError({
        slug: refusal.slug,
        detail: refusal.detail,
        // JSON leaves `undefined` out.
        extensions: { watch_id: refusal.watchId ?? undefined, endpoint_id: refusal.endpointId ?? undefined },
      });
    case "forbidden":
      return new ProblemError({ slug: refusal.slug, detail: refusal.detail });
    case "later":
      return tooMany(refusal.slug, refusal.detail, refusal.retryAfterMs);
  }
}
