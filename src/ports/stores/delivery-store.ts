import type { Actor } from "../../domain/audit.ts";
import type { Attempt, AttemptOutcome } from "../../domain/deliveries/attempt.ts";
import type { AttemptResult } from "../../domain/deliveries/delivery-decision.ts";
import type { DeliveryState } from "../../domain/deliveries/delivery.ts";
import type { EndpointHealth, EndpointState } from "../../domain/deliveries/endpoint.ts";
import type { Notice } from "./call-store.ts";
import type { DeliveryView } from "./read-store.ts";
import type { SendJob, SendTarget } from "./send-job.ts";

/** Bounds of a claim. Endpoints and hosts that are not listed have `defaultCapacity`. */
export type ClaimRequest = {
  readonly nowMs: number;
  /** Maximum number of jobs. */
  readonly limit: number;
  /** Maximum number of jobs for endpoints with consecutive failures. */
  readonly failingLimit: number;
  readonly defaultCapacity: number;
  readonly capacityByEndpoint: readonly (readonly [endpointId: string, available: number])[];
  /** Key: `${accountId} ${origin}`. */
  readonly capacityByHost: readonly (readonly [hostKey: string, available: number])[];
};

export type ClaimResult = {
  /**
   * Jobs leased to this process. If there are fewer than `limit`, and `nextDueAtMs` is in the future, no other job with
   * capacity is due.
   */
  readonly jobs: readonly SendJob[];
  /**
   * Due time of the next delivery that is not paused. The time of the claim if another claim may find more; `null` if no
   * delivery is pending.
   */
  readonly nextDueAtMs: number | null;
};

export type AttemptRecord = {
  readonly deliveryId: string;
  /** Account of the delivery. The record waits for the turn of this account. */
  readonly accountId: string;
  readonly leaseToken: number;
  readonly attemptNumber: number;
  readonly mode: SendJob["mode"];
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly outcome: AttemptOutcome;
  readonly nowMs: number;
  /** 0 to 1, drawn by the caller, because the decision is a pure function. */
  readonly jitter: number;
};

export type AttemptRecorded =
  | {
      readonly kind: "recorded";
      readonly attempt: Attempt;
      readonly delivery: DeliveryState;
      /** State of the endpoint after the attempt. */
      readonly endpoint: { readonly state: EndpointState; readonly health: EndpointHealth; readonly hostPausedUntilMs: number | null };
      /** Whether this attempt disabled the endpoint. */
      readonly endpointChange: AttemptResult["endpointChange"];
      /** Leased deliveries of operational events that the attempt caused. */
      readonly jobs: readonly SendJob[];
      /** Due time of the next delivery of this endpoint or its host, with or without capacity; `null` if none. */
      readonly endpointNextDueAtMs: number | null;
      /** Calls that have no watch left after a 410 canceled watches. */
      readonly unwatchedCallIds: readonly string[];
      /** Watches that the attempt ended, and operational events that it caused. */
      readonly notices: readonly Notice[];
    }
  /** The lease was lost or the delivery was deleted; at most the attempt was written. */
  | { readonly kind: "fenced" };

/** Deliveries, for the dispatcher. Resolved means committed; all methods reject with `StoreUnavailableError`. */
export interface DeliveryStore {
  /**
   * Leases due deliveries, oldest first, with endpoints in turn. Skips paused and disabled endpoints, paused hosts and
   * deliveries that an earlier one of their lane blocks.
   */
  claimDue(request: ClaimRequest): Promise<ClaimResult>;
  /** Runs `decideAfterAttempt` on the current rows, and writes attempt, delivery, lane, endpoint and host in one transaction. */
  recordAttempt(record: AttemptRecord): Promise<AttemptRecorded>;
  /** Reads endpoints as the targets of jobs, with every committed change. Unknown ones are left out; in any order. */
  readTargets(endpointIds: readonly string[]): Promise<readonly SendTarget[]>;
  /** Releases leases without an attempt; the deliveries are due as before. A test ends with its lease, at `nowMs`. */
  releaseDeliveries(leases: readonly { readonly deliveryId: string; readonly leaseToken: number }[], nowMs: number): Promise<void>;
  /**
   * Leases a delivery for a manual attempt, regardless of schedule, pause and order; `view` is the delivery afterwards. The
   * manual attempt of a settled delivery is pending until it is recorded: if the lease ends before, `claimDue` leases it
   * again.
   */
  claimManualRetry(request: {
    readonly accountId: string;
    readonly deliveryId: string;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<ClaimManualRetryResult>;
  /** Creates an `endpoint.test` event with its delivery, leased. */
  createTest(request: { readonly accountId: string; readonly endpointId: string; readonly nowMs: number }): Promise<CreateTestResult>;
  /**
   * Requeues the `exhausted`, `failed` and `expired` deliveries of events recorded in the span, and makes those due that are
   * pending and wait for their schedule. Where there are many, a mark does it in portions.
   */
  recover(request: {
    readonly accountId: string;
    readonly endpointId: string;
    readonly sinceMs: number;
    readonly untilMs: number;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<RecoverResult>;
  /** Moves every due time back by `deltaMs`, after the wall clock was set back by as much. */
  moveSchedule(deltaMs: number): Promise<void>;
}

export type RecoverResult =
  | {
      readonly kind: "recovered";
      /** Number of requeued deliveries; `null` if there are more than are counted. */
      readonly recovered: number | null;
      /** Number of deliveries that waited for their schedule and are due; `null` if there are more than are counted. */
      readonly hurried: number | null;
      readonly more: boolean;
    }
  | { readonly kind: "unknown" }
  | { readonly kind: "endpoint_disabled" };

export type CreateTestResult =
  | { readonly kind: "claimed"; readonly job: SendJob }
  | { readonly kind: "unknown" }
  | { readonly kind: "endpoint_disabled" };

export type ClaimManualRetryResult =
  | { readonly kind: "claimed"; readonly job: SendJob; readonly view: DeliveryView }
  | { readonly kind: "unknown" }
  | { readonly kind: "endpoint_disabled" }
  | { readonly kind: "watch_deleted" }
  /** An attempt of the delivery is in flight. */
  | { readonly kind: "in_flight" };
