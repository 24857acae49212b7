import type { Endpoint } from "../../domain/deliveries/endpoint.ts";
import type { RingbackEvent } from "../../domain/events/event.ts";

export type SealedSecret = {
  /** `sec_…`: the identity it was sealed with. */
  readonly id: string;
  readonly sealed: Uint8Array;
  /** When it stops signing; null for the current one. */
  readonly validUntilMs: number | null;
};

/** The endpoint of a job, as of the moment the job was leased: format, headers and secrets of that moment. */
export type SendTarget = Endpoint & {
  /** Sealed JSON object of header name to value, identity = the endpoint's id + `:headers`; null when there are none. */
  readonly sealedHeaders: Uint8Array | null;
  /** Current first; those past their `validUntilMs` are not in it. */
  readonly secrets: readonly SealedSecret[];
  /** The pause of (account, origin), null when none runs. */
  readonly hostPausedUntilMs: number | null;
  readonly hostConsecutivePauses: number;
};

/** A delivery leased to this process, with everything needed to send it. */
export type SendJob = {
  readonly deliveryId: string;
  readonly leaseToken: number;
  /** Number of the attempt to make, from 1. */
  readonly attemptNumber: number;
  readonly stepsSpent: number;
  readonly event: RingbackEvent;
  readonly target: SendTarget;
  readonly createdAtMs: number;
  /** `manual`: one attempt now whatever pause, order and gates say (retry of one, test event). */
  readonly mode: "scheduled" | "manual";
};
