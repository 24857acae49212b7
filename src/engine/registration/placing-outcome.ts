import { placingSpans } from "../../domain/calls/placing.ts";
import type { TriggerOutcome } from "../../ports/call-trigger.ts";
import type { CreatePlacingResult } from "../../ports/stores/placing-store.ts";
import type { Refusal } from "../../ports/use-cases/registration.ts";
import type { NotPlaced } from "../../ports/use-cases/placing.ts";
import { callbackRequired, refusalOf } from "./registration-outcome.ts";

/** Waits that an answer names where the upstream names none. */
const probeRetryMs = 5000;
const turnRetryMs = 1000;
const refusedRetryMs = 60_000;

export function mayNotPlace(accountName: string): NotPlaced {
  return notPlaced(
    "may-not-place",
    `the account may not place calls: the operator allows it with account set ${accountName} --may-place`,
    null,
  );
}

export function sourceSuspended(sourceName: string): NotPlaced {
  return notPlaced(
    "source-suspended",
    `source ${sourceName} is suspended or its circuit is open, so nothing was sent; GET /v1/sources says why`,
    probeRetryMs,
  );
}

/** Returns the refusal of a call that got no turn of the source's rate. */
export function noTurn(sourceName: string): Refusal {
  return {
    kind: "later",
    slug: "source-saturated",
    detail: `source ${sourceName} had no turn for the call within 10 s, so nothing was sent`,
    retryAfterMs: turnRetryMs,
  };
}

/** Returns the refusal of a call whose trigger had no turn before the process began to stop. */
export function stopping(): NotPlaced {
  return notPlaced("store-unavailable", "the service is stopping, so nothing was sent; repeat the request with the same key", turnRetryMs);
}

/** Translates an intent that the store refused. */
export function intentRefusalOf(
  result: Exclude<CreatePlacingResult, { kind: "created" | "checked" | "key_used" }>,
  limits: { readonly perMinute: number; readonly perDay: number },
): Refusal | NotPlaced {
  if (result.kind === "callback_required") return callbackRequired();
  if (result.kind !== "limited") return refusalOf(result);
  const { limit, retryAfterMs } = result;
  const words = placingSpans.find((span) => span.limit === limit)?.words ?? "";
  return notPlaced("placing-limit", `the account may place ${limits[limit]} calls ${words}`, retryAfterMs);
}

/** Translates a trigger after which nothing rings. */
export function refusalOfTrigger(sourceName: string, outcome: Exclude<TriggerOutcome, { kind: "placed" | "unknown" }>): NotPlaced {
  switch (outcome.kind) {
    case "not_sent":
      return notPlaced(
        "upstream-unreachable",
        `source ${sourceName} could not be reached, and nothing was sent: ${outcome.detail}`,
        turnRetryMs,
      );
    case "unauthorized":
      return notPlaced("source-refused", `source ${sourceName} refused its credential; the operator must change it`, refusedRetryMs);
    case "rate_limited":
      return notPlaced("upstream-rate-limited", `source ${sourceName} takes no more calls now`, outcome.retryAfterMs ?? turnRetryMs);
    case "refused": {
      const { statusCode, words } = outcome;
      const detail = `the upstream refused the call: ${statusCode}${words === "" ? "" : ` ${words}`}`;
      return { ...notPlaced("call-refused", detail, null), upstreamStatus: statusCode };
    }
  }
}

function notPlaced(slug: NotPlaced["slug"], detail: string, retryAfterMs: number | null): NotPlaced {
  return { kind: "not_placed", slug, detail, retryAfterMs, upstreamStatus: null };
}
