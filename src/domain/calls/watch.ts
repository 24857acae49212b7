import type { EventFilter } from "../events/event-filter.ts";
import type { CallEndReason } from "./call.ts";

export const watchStatuses = ["active", "completed", "ended", "canceled"] as const;
export type WatchStatus = (typeof watchStatuses)[number];
export type WatchEndReason = CallEndReason | "expired" | "deleted" | "gone";

/** A registration for one call, optionally with an endpoint. Times are in milliseconds since the epoch. */
export type Watch = {
  readonly id: string;
  readonly accountId: string;
  readonly sourceName: string;
  readonly callId: string;
  readonly callSid: string;
  readonly endpointId: string | null;
  readonly callbackUrl: string | null;
  readonly status: WatchStatus;
  readonly endReason: WatchEndReason | null;
  readonly filter: EventFilter;
  readonly metadata: Readonly<Record<string, string>>;
  /** `traceparent` of its registration; `null` if that had none. */
  readonly trace: string | null;
  /** Sequence of the last event; 0 before the first. */
  readonly sequence: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly endedAtMs: number | null;
};

/** Time for which a repeated registration returns a completed watch instead of creating a new one. */
export const replayableForMs = 24 * 60 * 60 * 1000;
/** Longest time until an `expires_at` that a client may set. */
export const maxDeadlineMs = 7 * 24 * 60 * 60 * 1000;
/** Time after its deadline at which a watch ends even though the source cannot be polled. */
export const maxDeadlineWaitMs = 2 * 60 * 60 * 1000;
