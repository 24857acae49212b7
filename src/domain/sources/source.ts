/** A source as the operator configured it, without its credential. */
export type Source = {
  readonly id: string;
  readonly name: string;
  /** Name of an upstream's kind, or `sandbox` for the source that is scripted inside the service. */
  readonly kind: string;
  /** Number of polls a second, over all instances. */
  readonly maxPollsPerSecond: number;
};

/** State of a source. `unproven`: no parsed 200 within the last 10 minutes, so that an ending by 400 or 404 is not accepted at once. */
export type SourceStateName = "ok" | "unproven" | "slowed" | "suspended" | "circuit_open";

/** Health of a source, shown by the API, in metrics and in `/readyz`. */
export type SourceHealth = {
  readonly name: string;
  readonly kind: string;
  readonly state: SourceStateName;
  /** Reason of the state: `unauthorized`, `forbidden`, `misconfigured`, `rate_limited`, `interval`, `upstream_errors`; `null` if `ok`. */
  readonly reason: string | null;
  readonly sinceMs: number | null;
  readonly lastGoodPollAtMs: number | null;
  /** Last status that is in no status map, since the source was set; `null` if there was none. */
  readonly lastUnknownStatus: string | null;
  /** Current interval between two polls of a call. */
  readonly intervalMs: number;
};

/** Expected time from a change to the poll that observes it, under the schedule in force and under the even one. */
export type DetectionDelays = { readonly learnedMs: number; readonly evenMs: number };
