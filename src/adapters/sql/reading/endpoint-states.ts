import type { EndpointState } from "../../../domain/deliveries/endpoint.ts";
import { integer, text } from "../rows.ts";
import type { Row } from "../rows.ts";

/** Counts the endpoints that are not enabled, by an index that holds these alone. */
export const notEnabledEndpoints = "select state, count(*) as n from endpoints where state <> 'enabled' group by state";

/** Returns the number of endpoints in each state. `all` is the counter of endpoints, `notEnabled` the rows of `notEnabledEndpoints`. */
export function endpointsByState(all: number, notEnabled: readonly Row[]): Readonly<Record<EndpointState, number>> {
  const counted = new Map(notEnabled.map((row) => [text(row, "state"), integer(row, "n")]));
  const [paused, disabled] = [counted.get("paused") ?? 0, counted.get("disabled") ?? 0];
  // Two reads may differ by what was committed between them.
  return { enabled: Math.max(0, all - paused - disabled), paused, disabled };
}
