/** Why nobody polls a source, and since when (epoch ms). */
export type SharedSuspension = {
  readonly reason: "unauthorized" | "forbidden" | "misconfigured" | "upstream_errors";
  readonly sinceMs: number;
};

/** What holds of a source for all instances. The versions grow with each change of their part. */
export type GateState = {
  readonly sourceName: string;
  readonly suspension: SharedSuspension | null;
  readonly suspensionVersion: number;
  /** After a 429: nothing before then (epoch ms), and from then on this part of the rate. */
  readonly throttledUntilMs: number | null;
  readonly rateFactor: number;
  readonly throttleVersion: number;
};

/** Suspension, circuit and throttle of sources: whoever sees them first writes them, the others adopt them. */
export interface SharedSourceStore {
  /**
   * Suspends or resumes, if nobody did either since `expectedVersion` (0: never). `superseded`: somebody did, and nothing
   * was written; the gate is as it stands.
   */
  changeSuspension(request: {
    readonly sourceName: string;
    readonly suspension: SharedSuspension | null;
    readonly expectedVersion: number;
  }): Promise<{ readonly kind: "changed" | "superseded"; readonly gate: GateState }>;
  /** The later end of a throttle wins. */
  throttle(request: { readonly sourceName: string; readonly throttledUntilMs: number; readonly rateFactor: number }): Promise<GateState>;
}
