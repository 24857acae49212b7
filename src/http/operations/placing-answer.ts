import type { Clock } from "../../ports/clock.ts";
import type { StorableAnswer } from "../../ports/use-cases/idempotency.ts";
import type { LiveState } from "../../ports/use-cases/live-state.ts";
import type { PlaceOutcome } from "../../ports/use-cases/placing.ts";
import { watchJson } from "../schemas/json.ts";
import { callUnknown } from "./idempotency.ts";
import { ProblemError, retryAfter } from "./problem.ts";
import { refusalError } from "./refusal.ts";

/** Returns the answer to a placed call, as the API answers it and as it is stored under the key. Throws the problem of every other outcome. */
export function placeAnswerOf(outcome: PlaceOutcome, { live, clock }: { readonly live: LiveState; readonly clock: Clock }) {
  if ("view" in outcome) return { status: 201, body: watchJson(outcome.view, live, clock.nowMs(), outcome.signingSecret) };
  if (outcome.kind === "call_unknown") throw callUnknown(outcome.placingId);
  if (outcome.kind !== "not_placed") throw refusalError(outcome);
  const { slug, detail, retryAfterMs, upstreamStatus } = outcome;
  throw new ProblemError({
    slug,
    detail,
    extensions: { upstream_status: upstreamStatus ?? undefined },
    headers: retryAfterMs === null ? {} : retryAfter(retryAfterMs),
  });
}

/** Returns what renders the answer that is stored under the key of a placing. */
export function storedPlaceAnswer(dependencies: {
  readonly live: LiveState;
  readonly clock: Clock;
}): (outcome: PlaceOutcome) => StorableAnswer {
  return (outcome) => {
    const { status, body } = placeAnswerOf(outcome, dependencies);
    return { status, contentType: "application/json", body: JSON.stringify(body) };
  };
}
