import type { Notice } from "./stores/call-store.ts";
import type { SendJob } from "./stores/send-job.ts";

/** Effects of a commit of this process. */
export type Commit = {
  /** Webhooks to send, leased to this process. */
  readonly jobs: readonly SendJob[];
  /** Events that wake waiting requests. */
  readonly notices: readonly Notice[];
};

/** A watch or hook that was removed. */
export type Removal = {
  /** `null` if a hook was removed. */
  readonly watchId: string | null;
  /** Deliveries of a removed hook that were leased when they were canceled. */
  readonly deliveryIds: readonly string[];
  readonly notices: readonly Notice[];
};

/**
 * Listener of commits, the only way from polling and registration to the dispatcher and to waiting requests. Listeners are
 * called synchronously after the commit, in any order, and do not throw. A process that dies before the call loses nothing,
 * because the store hands out leased jobs again when their lease ends.
 */
export interface CommitListener {
  committed(commit: Commit): void;
  /** Handles a removal. No attempt for the watch or the deliveries starts once this returns. */
  removed(removal: Removal): void;
}

/** Listener of changes of endpoints, called after the commit. The dispatcher implements it. */
export interface EndpointListener {
  /** Closes an endpoint. No attempt starts once this returns, except manual ones for a paused endpoint. */
  closeEndpoint(endpointId: string, state: "paused" | "disabled"): void;
  /** Opens an endpoint that was enabled, because its pending deliveries may be due. */
  openEndpoint(endpointId: string): void;
  /** Opens a disabled endpoint that a registration enabled by naming it. */
  reopenEndpoint(endpointId: string): void;
  /** Applies changed formats, headers, secrets or limits of an endpoint to the deliveries that wait in memory. */
  refreshEndpoint(endpointId: string): void;
}
