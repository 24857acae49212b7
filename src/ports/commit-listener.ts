import type { Notice } from "./stores/call-store.ts";
import type { SendJob } from "./stores/send-job.ts";

/** What a commit of this process set in motion. */
export type Commit = {
  /** Webhooks to send, leased to this process. */
  readonly jobs: readonly SendJob[];
  /** Events that waiting requests wake up for. */
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
 * Acts on commits: the only arrow from polling and registration to the dispatcher and to waiting requests. Listeners are
 * called synchronously after the commit, in any order, and do not throw. A process that dies before the call loses
 * nothing, because the store hands out leased jobs again when their lease ends.
 */
export interface CommitListener {
  committed(commit: Commit): void;
  /** No attempt for the watch or the deliveries starts once this returns. */
  removed(removal: Removal): void;
}

/** Acts on changes of endpoints after their commit; implemented by the dispatcher. */
export interface EndpointListener {
  /** No attempt for the endpoint starts once this returns, except manual ones for a paused endpoint. */
  closeEndpoint(endpointId: string, state: "paused" | "disabled"): void;
  /** The endpoint was enabled: its pending deliveries may be due. */
  openEndpoint(endpointId: string): void;
  /** A registration named the endpoint, which enables it if it was disabled. */
  reopenEndpoint(endpointId: string): void;
  /** Format, headers, secrets or limits of the endpoint changed: deliveries that wait in memory take them over. */
  refreshEndpoint(endpointId: string): void;
}
