/** A source as the operator configured it. The credential is held by the adapter, never here. */
export type Source = {
  readonly id: string;
  readonly name: string;
  /** Name of an upstream's kind, or `sandbox` for the source that is scripted inside the service. */
  readonly kind: string;
  /** Polls a second, over all instances. */
  readonly maxPollsPerSecond: number;
};

/** `unproven`: no parsed 200 yet (within the witness span), so an ending by 400 or 404 is not believed at once. */
export type SourceStateName = "ok" | "unproven" | "slowed" | "suspended" | "circuit_open";

/** What is known of a source; shown by the API, in metrics and in `/readyz`. */
export type SourceHealth = {
  readonly name: string;
  readonly kind: string;
  readonly state: SourceStateName;
  /** Why it is not `ok`: `unauthorized`, `forbidden`, `misconfigured`, `rate_limited`, `interval`, `upstream_errors`; null when `ok`. */
  readonly reason: string | null;
  readonly sinceMs: number | null;
  readonly lastGoodPollAtMs: number | null;
  /** The poll interval in force. */
  readonly intervalMs: number;
};
