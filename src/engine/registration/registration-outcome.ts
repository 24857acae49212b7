import { describeQuota } from "../../domain/quotas.ts";
import type { QuotaExceeded } from "../../domain/quotas.ts";
import type { FieldError, HookOutcome, Refusal, WatchOutcome } from "../../ports/use-cases/registration.ts";
import type { EndpointConflict, RegisterHookResult, RegisterWatchResult } from "../../ports/stores/registration-store.ts";

/** Translates the store's result for a watch. `generatedSecret` is shown only if the endpoint was created with it. */
export function watchOutcomeOf(generatedSecret: string | null, result: RegisterWatchResult): WatchOutcome {
  switch (result.kind) {
    case "created":
      return { kind: "created", view: result.view, signingSecret: result.showsGeneratedSecret ? generatedSecret : null };
    case "existing":
      return { kind: "existing", view: result.view, signingSecret: null };
    case "watch_differs":
      return {
        kind: "conflict",
        slug: "watch-differs",
        detail: `watch ${result.watchId} covers this call and URL with different ${result.fields.join(" and ")}; send the same (left out is the default), or change or delete that watch first`,
        watchId: result.watchId,
        endpointId: null,
      };
    case "callback_required":
      return callbackRequired();
    case "placing_settled":
      throw new Error("a registration settles no placing");
    default:
      return refusalOf(result);
  }
}

export function hookOutcomeOf(generatedSecret: string, result: RegisterHookResult): HookOutcome {
  switch (result.kind) {
    case "created":
      return { kind: "created", view: result.view, secret: result.showsGeneratedSecret ? generatedSecret : null };
    case "existing":
      return { kind: "existing", view: result.view, secret: null };
    default:
      return refusalOf(result);
  }
}

/** Returns the result of one draft; the store answers every draft, in order. */
export function resultAt(results: readonly RegisterWatchResult[], index: number): RegisterWatchResult {
  const result = results[index];
  if (result === undefined) throw new Error("the store answers every draft");
  return result;
}

/** Returns the outcome of a single registration. */
export function onlyOf([outcome]: readonly WatchOutcome[]): WatchOutcome {
  if (outcome === undefined) throw new Error("one registration has one outcome");
  return outcome;
}

export function invalid(slug: Extract<Refusal, { kind: "invalid" }>["slug"], pointer: string, detail: string): Refusal {
  const errors: readonly FieldError[] = [{ pointer, detail }];
  return { kind: "invalid", slug, errors };
}

/** Returns the refusal of a watch without a callback URL in an account without a hook. */
export function callbackRequired(): Refusal {
  return invalid(
    "invalid-request",
    "/callback_url",
    "is required, because the account has no hook: give a URL, or null if you read the feed (GET /v1/events)",
  );
}

export function refusalOf(result: EndpointConflict | QuotaExceeded): Refusal {
  if (result.kind === "quota_exceeded")
    return {
      kind: "forbidden",
      slug: "quota-exceeded",
      detail: describeQuota(result),
    };
  return {
    kind: "conflict",
    slug: "endpoint-differs",
    detail: `endpoint ${result.endpointId} exists with different ${result.fields.join(", ")}; leave them out to keep it as it is, or change it (PATCH; signing_secret: rotate-secret)`,
    watchId: null,
    endpointId: result.endpointId,
  };
}
