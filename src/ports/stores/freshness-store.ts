import type { StoredAges } from "../../domain/freshness/age-histogram.ts";

/** Times that calls of a source spend in a status. */
export type StatusAges = StoredAges & { readonly sourceName: string; readonly status: string };

/** Statistics that polling learned, shared by all instances and kept over restarts. */
export interface FreshnessStore {
  /** Lists the ages of all sources and statuses, at most 10,000. */
  listStatusAges(): Promise<readonly StatusAges[]>;
  /**
   * Adds observations to the stored ones (`AgeHistogram.append`), and returns the sums in the same order. A caller names each
   * source and status once, and passes each observation to one successful call, so that it counts once.
   */
  appendStatusAges(observed: readonly StatusAges[]): Promise<readonly StatusAges[]>;
}
