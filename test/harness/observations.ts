import { isMappedStatus } from "../../src/domain/sources/status-map.ts";
import type { StatusObservation } from "../../src/domain/calls/call.ts";

/** A parsed 200, whose status is in the map if it is one of ours. */
export function seen(status: string, reason = "", given: Partial<StatusObservation> = {}): StatusObservation {
  return { kind: "status", status, reason, isMapped: isMappedStatus(status), isTentative: false, details: null, ...given };
}
