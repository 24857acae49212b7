import type { AttemptMode } from "../../domain/deliveries/attempt.ts";
import type { Endpoint } from "../../domain/deliveries/endpoint.ts";
import type { RingbackEvent } from "../../domain/events/event.ts";

export type SealedSecret = {
  /** `sec_…`, part of its associated data. */
  readonly id: string;
  readonly sealed: Uint8Array;
  /** Time at which it stops signing; `null` for the current secret. */
  readonly validUntilMs: number | null;
};

/** Endpoint of a job, with format, headers and secrets as of the time when it was read. */
export type SendTarget = Endpoint & {
  /** JSON object of custom headers, sealed with the associated data `<endpoint id>:headers`; `null` if there are none. */
  readonly sealedHeaders: Uint8Array | null;
  /** The current secret first. Those past their `validUntilMs` may be left out. */
  readonly secrets: readonly SealedSecret[];
  /** End of the pause of (account, origin); `null` if it is not paused. */
  readonly hostPausedUntilMs: number | null;
  readonly hostConsecutivePauses: number;
};

/** A delivery that is leased to this process, with everything needed to send it. */
export type SendJob = {
  readonly deliveryId: string;
  readonly leaseToken: number;
  /** Number of the attempt to make, from 1. */
  readonly attemptNumber: number;
  readonly stepsSpent: number;
  readonly event: RingbackEvent;
  readonly target: SendTarget;
  /** Time of the request that leased the delivery. `target` was read later. */
  readonly targetAsOfMs: number;
  readonly createdAtMs: number;
  readonly mode: AttemptMode;
  /** `traceparent` of the registration of the event's watch; `null` if there is none. */
  readonly trace: string | null;
};
