/** Suspension of a source. */
export type SharedSuspension = {
  readonly reason: "unauthorized" | "forbidden" | "misconfigured" | "upstream_errors";
  /** Epoch milliseconds. */
  readonly sinceMs: number;
};

/** State of a source that all instances share. Each version grows with the changes of its part. */
export type GateState = {
  readonly sourceName: string;
  readonly suspension: SharedSuspension | null;
  readonly suspensionVersion: number;
  /**
   * Throttle after a 429: epoch milliseconds before which no poll starts (`null` if none), and the fraction of the rate
   * that is used afterwards.
   */
  readonly throttledUntilMs: number | null;
  readonly rateFactor: number;
  readonly throttleVersion: number;
};

/** Suspension, circuit and throttle of sources: the first instance to observe a change writes it, the others adopt it. */
export interface SharedSourceStore {
  /**
   * Suspends or resumes (`null`) a source. `superseded` if another instance did either since `expectedVersion` (0 if never):
   * then nothing was written, and `gate` is the stored state.
   */
  changeSuspension(request: {
    readonly sourceName: string;
    readonly suspension: SharedSuspension | null;
    readonly expectedVersion: number;
  }): Promise<{ readonly kind: "changed" | "superseded"; readonly gate: GateState }>;
  /** Throttles a source; of two throttles, the later end wins. */
  throttle(request: { readonly sourceName: string; readonly throttledUntilMs: number; readonly rateFactor: number }): Promise<GateState>;
}
