import type { CallChange, CallStatus } from "../../domain/calls/call.ts";
import type { SendJob } from "./send-job.ts";

/** A call that is to be polled, because it has at least one active watch. */
export type WatchedCall = {
  readonly callId: string;
  readonly sourceName: string;
  readonly callSid: string;
  /** "" for shared sources, and the account's id where calls belong to an account (sandbox). */
  readonly scope: string;
  /** Account of the oldest active watch, for the turns of accounts that share a source. */
  readonly accountId: string;
  readonly status: CallStatus;
  /** Version of the call. It grows with every committed change. A commit names the version that it is based on. */
  readonly version: number;
  readonly createdAtMs: number;
  /** Creation of the oldest and the youngest active watch. Each watch has a not-found grace from its creation. */
  readonly oldestWatchAtMs: number;
  readonly youngestWatchAtMs: number;
  readonly earliestDeadlineAtMs: number;
  /** Whether an active watch was not notified of the current status; the next good poll notifies it even without a change. */
  readonly needsFirstEvent: boolean;
};

export type CallCommit = {
  readonly callId: string;
  /** See `WatchedCall.accountId`. The commit waits for the turn of this account. */
  readonly accountId: string;
  readonly expectedVersion: number;
  readonly nowMs: number;
  readonly lastGoodPollAtMs: number | null;
  /** Whether this commit follows a parsed 200; then watches without an initial event are notified of the status. */
  readonly confirmed: boolean;
  readonly changes: readonly CallChange[];
};

/**
 * A committed event, for requests that wait for it. `watchId`, `callSid` and `sequence` are `null` for events without a watch.
 * The end of a watch by a removal or a 410 makes no event; its notice has the type `watch.canceled`.
 */
export type Notice = {
  readonly accountId: string;
  readonly watchId: string | null;
  readonly callSid: string | null;
  readonly sequence: number | null;
  readonly eventType: string;
};

export type CallCommitResult =
  /** `jobs` are the new heads of their lanes, leased; `call` is `null` if it ended or no watch is left. */
  | {
      readonly kind: "committed";
      readonly call: WatchedCall | null;
      readonly notices: readonly Notice[];
      readonly jobs: readonly SendJob[];
    }
  /** Another process changed or owns the call, and nothing was written. `call` is its state; `null` if this process must not poll it. */
  | { readonly kind: "stale"; readonly call: WatchedCall | null };

/**
 * Calls, for the poller. Resolved means committed; all methods reject with `StoreUnavailableError` if nothing can be
 * committed.
 */
export interface CallStore {
  /** Commits a transition with its events and deliveries in one transaction, serialised with registrations of the call. */
  commitCall(commit: CallCommit): Promise<CallCommitResult>;
  /** Returns a page of the calls that this process polls, by id. */
  loadWatchedCalls(page: { readonly afterCallId: string | null; readonly limit: number }): Promise<readonly WatchedCall[]>;
  /** Stores the last good poll of each call and releases the calls. */
  releaseCalls(calls: readonly { readonly callId: string; readonly lastGoodPollAtMs: number | null }[]): Promise<void>;
}
