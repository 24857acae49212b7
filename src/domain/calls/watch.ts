import type { EventFilter } from "../events/event-filter.ts";
import type { CallEndReason } from "./call.ts";

export const watchStatuses = ["active", "completed", "ended", "canceled"] as const;
export type WatchStatus = (typeof watchStatuses)[number];
export type WatchEndReason = CallEndReason | "expired" | "deleted" | "gone";

/** A registration: one call SID, optionally one endpoint. Times are epoch milliseconds. */
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
  /** The sequence of its last event; 0 before the first. */
  readonly sequence: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly endedAtMs: number | null;
};

/** How long a repeated registration finds a completed watch again instead of making a new one. */
export const replayableForMs = 24 * 60 * 60 * 1000;
/** The furthest `expires_at` a client may ask for. */
export const maxDeadlineMs = 7 * 24 * 60 * 60 * 1000;
