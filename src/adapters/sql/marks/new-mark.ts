import { holdingKinds } from "../../../domain/deliveries/marks.ts";
import type { MarkDetail, MarkKind } from "../../../domain/deliveries/marks.ts";

/** A mark that is about to be set. */
export type NewMark = {
  readonly kind: MarkKind;
  readonly accountKey: number;
  readonly targetKey: number;
  readonly lastKey: number;
  /** Number of rows that it settles and that the counters count as they were. */
  readonly remaining?: number;
  readonly detail: MarkDetail;
  readonly nowMs: number;
};

/** Returns the endpoints that a mark on one endpoint holds: itself, if no delivery of it may be claimed meanwhile. */
export function heldBy(kind: MarkKind, endpointKey: number): readonly number[] {
  return holdingKinds.has(kind) ? [endpointKey] : [];
}
