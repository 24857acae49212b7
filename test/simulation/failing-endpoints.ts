import type { Evidence } from "./evidence.ts";
import type { KnownEndpoint } from "./ledger.ts";
import type { Exchange } from "./receivers.ts";

/** Failures in a row, with nothing but deferrals between them, after which an endpoint may be disabled. */
const disableMinAttempts = 10;

type Result = "delivered" | "failed";

/** Endpoints that the service may have disabled because of their failures: an answer to a request may then enable them. */
export class FailingEndpoints {
  readonly #evidence: Evidence;
  /** Attempts that ended since the last one that is known to have delivered. A deferral is neither. */
  readonly #results = new Map<KnownEndpoint, readonly { readonly exchange: Exchange; readonly result: Result }[]>();

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  /** Called for each attempt that ended, tests aside. */
  ended(endpoint: KnownEndpoint, exchange: Exchange, result: Result | "deferred"): void {
    if (result === "deferred") return;
    const { clockSteps, limits, scheduler } = this.#evidence;
    const results = [...(this.#results.get(endpoint) ?? []), { exchange, result }];
    // A success that was not written down ended nothing.
    const last = results.findLastIndex(({ exchange: each, result: of }) => of === "delivered" && !this.#evidence.isUncertain(each));
    const kept = results.slice(last + 1);
    this.#results.set(endpoint, kept);
    const failures = kept.filter(({ result: of }) => of === "failed");
    const firstMs = failures[0]?.exchange.endedAtMs ?? scheduler.nowMs;
    const steppedMs = clockSteps.reduce((sum, { byMs }) => sum + Math.max(0, byMs), 0);
    if (failures.length >= disableMinAttempts && scheduler.nowMs - firstMs + steppedMs >= limits.disableAfterMs)
      endpoint.mayBeDisabled = true;
  }
}
