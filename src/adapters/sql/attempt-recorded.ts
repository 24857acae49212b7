import type { AttemptResult } from "../../domain/deliveries/delivery-decision.ts";
import type { AttemptRecorded } from "../../ports/stores/delivery-store.ts";

type Recorded = Extract<AttemptRecorded, { kind: "recorded" }>;

/** Returns the answer to a recorded attempt. `consequences` are the further effects of its transaction. */
export function recordedOf(
  { attempt, delivery, endpoint, host, endpointChange }: AttemptResult,
  consequences: Pick<Recorded, "endpointNextDueAtMs"> & Partial<Pick<Recorded, "jobs" | "unwatchedCallIds" | "notices">>,
): Recorded {
  return {
    kind: "recorded",
    attempt,
    delivery,
    endpoint: { state: endpoint.state, health: endpoint.health, hostPausedUntilMs: host.pausedUntilMs },
    endpointChange,
    jobs: [],
    unwatchedCallIds: [],
    notices: [],
    ...consequences,
  };
}
