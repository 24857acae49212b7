import type { Attempt, AttemptOutcome } from "../../domain/deliveries/attempt.ts";
import type { AttemptResult } from "../../domain/deliveries/delivery-decision.ts";
import type { DeliveryState } from "../../domain/deliveries/delivery.ts";
import type { EndpointHealth, EndpointState } from "../../domain/deliveries/endpoint.ts";
import type { Notice } from "./call-store.ts";
import type { DeliveryView } from "./read-store.ts";
import type { SendJob } from "./send-job.ts";

/** What may be claimed. Rooms leave out endpoints and hosts the process knows nothing of: they have the default. */
export type ClaimRequest = {
  readonly nowMs: number;
  /** At most so many jobs. */
  readonly limit: number;
  /** At most so many of them for endpoints with consecutive failures. */
  readonly failingLimit: number;
  readonly defaultCapacity: number;
  readonly capacityByEndpoint: readonly (readonly [endpointId: string, available: number])[];
  /** Key: `${accountId} ${origin}`. */
  readonly capacityByHost: readonly (readonly [hostKey: string, available: number])[];
};

export type ClaimResult = {
  /** Leased to this process. Fewer than `limit`, and a next time that is later than now, mean nothing else is due for anybody with room. */
  readonly jobs: readonly SendJob[];
  /** When the next delivery of any unpaused endpoint falls due; now: another claim may find more at once; null: never. */
  readonly nextDueAtMs: number | null;
};

export type AttemptRecord = {
  readonly deliveryId: string;
  readonly leaseToken: number;
  readonly attemptNumber: number;
  readonly mode: SendJob["mode"];
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly outcome: AttemptOutcome;
  readonly nowMs: number;
  /** 0 to 1, drawn by the caller: the decision is a pure function. */
  readonly jitter: number;
};

export type AttemptRecorded =
  | {
      readonly kind: "recorded";
      readonly attempt: Attempt;
      readonly delivery: DeliveryState;
      /** The endpoint after it. */
      readonly endpoint: { readonly state: EndpointState; readonly health: EndpointHealth; readonly hostPausedUntilMs: number | null };
      /** Whether this attempt is what disabled the endpoint. */
      readonly endpointChange: AttemptResult["endpointChange"];
      /** Operational events that came of it, leased. */
      readonly jobs: readonly SendJob[];
      /** Another delivery of this endpoint or its host is due now or at this time (those without room included). */
      readonly endpointNextDueAtMs: number | null;
      /** Calls nobody watches any more (410 cancels watches). */
      readonly unwatchedCallIds: readonly string[];
      /** Watches that ended by it, and the operational events that came of it. */
      readonly notices: readonly Notice[];
    }
  /** The lease was lost or the delivery is gone: nothing but, where possible, the attempt was written. */
  | { readonly kind: "fenced" };

/** What the dispatcher needs of the store. */
export interface DeliveryStore {
  /** Leases due deliveries, oldest due first, endpoints in turn; never one of a paused or disabled endpoint or paused host, never a blocked one of a lane. */
  claimDue(request: ClaimRequest): Promise<ClaimResult>;
  /** Runs `decideAfterAttempt` on the rows as they stand and writes attempt, delivery, lane, endpoint and host in one transaction. */
  recordAttempt(record: AttemptRecord): Promise<AttemptRecorded>;
  /** Gives leases back unspent: the deliveries are due as they were. A test ends with its lease, at `nowMs`. */
  releaseDeliveries(leases: readonly { readonly deliveryId: string; readonly leaseToken: number }[], nowMs: number): Promise<void>;
  /**
   * Leases one for a manual attempt ahead of schedule, pause and order; `view` is the delivery as it is then. If it is
   * settled the attempt is owed until it is recorded: should the lease end before, `claimDue` gives it out again.
   */
  claimManualRetry(request: {
    readonly accountId: string;
    readonly deliveryId: string;
    readonly nowMs: number;
  }): Promise<ClaimManualRetryResult>;
  /** Makes an `endpoint.test` event with its delivery, leased. */
  createTest(request: { readonly accountId: string; readonly endpointId: string; readonly nowMs: number }): Promise<CreateTestResult>;
  /** Owes again what was `exhausted`, `failed` or `expired` of events recorded in the span. */
  recover(request: {
    readonly accountId: string;
    readonly endpointId: string;
    readonly sinceMs: number;
    readonly untilMs: number;
    readonly nowMs: number;
  }): Promise<
    { readonly kind: "recovered"; readonly count: number } | { readonly kind: "unknown" } | { readonly kind: "endpoint_disabled" }
  >;
  /** The wall clock was set back by `deltaMs`: what was due then is due so much earlier now. */
  moveSchedule(deltaMs: number): Promise<void>;
}

export type CreateTestResult =
  | { readonly kind: "claimed"; readonly job: SendJob }
  | { readonly kind: "unknown" }
  | { readonly kind: "endpoint_disabled" };

export type ClaimManualRetryResult =
  | { readonly kind: "claimed"; readonly job: SendJob; readonly view: DeliveryView }
  | { readonly kind: "unknown" }
  | { readonly kind: "endpoint_disabled" }
  | { readonly kind: "watch_deleted" }
  /** It is on the wire at this moment. */
  | { readonly kind: "in_flight" };
