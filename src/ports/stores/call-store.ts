import type { CallChange, CallStatus } from "../../domain/calls/call.ts";
import type { SendJob } from "./send-job.ts";

/** A call that is to be polled: at least one active watch looks at it. */
export type WatchedCall = {
  readonly callId: string;
  readonly sourceName: string;
  readonly callSid: string;
  /** "" for shared sources; the account's id where calls belong to an account. */
  readonly scope: string;
  /** Account of the oldest active watch: whose turn it is when accounts share a source. */
  readonly accountId: string;
  readonly status: CallStatus;
  /** Grows with every committed change; a commit must name it. */
  readonly version: number;
  readonly createdAtMs: number;
  /** The not-found grace starts here. */
  readonly youngestWatchAtMs: number;
  readonly earliestDeadlineAtMs: number;
  /** Some active watch has not been told the present status; the next good poll tells it even when nothing changed. */
  readonly needsFirstEvent: boolean;
};

export type CallCommit = {
  readonly callId: string;
  readonly expectedVersion: number;
  readonly nowMs: number;
  readonly lastGoodPollAtMs: number | null;
  /** Whether this commit rests on a parsed 200 of this moment: then watches that were told nothing yet are told the status. */
  readonly confirmed: boolean;
  readonly changes: readonly CallChange[];
};

/** What woke up: ids for whoever holds a `wait` request. `watchId` and `sequence` are null for events about no watch. */
export type Notice = {
  readonly accountId: string;
  readonly watchId: string | null;
  readonly sequence: number | null;
  readonly eventType: string;
};

export type CallCommitResult =
  /** On disk. `jobs` are the new heads of their lanes, leased; `call` is null when nobody watches any more (or it ended). */
  | {
      readonly kind: "committed";
      readonly call: WatchedCall | null;
      readonly notices: readonly Notice[];
      readonly jobs: readonly SendJob[];
    }
  /** Somebody else changed it (or owns it): nothing was written. `call` is what stands now, null when not ours to poll. */
  | { readonly kind: "stale"; readonly call: WatchedCall | null };

/** What the poller needs of the store. Every promise resolves after the commit reached the disk; a failed commit rejects with `StoreUnavailableError`. */
export interface CallStore {
  /** One transition: call, events, deliveries, in one transaction, serialised with registrations of the same call. */
  commitCall(commit: CallCommit): Promise<CallCommitResult>;
  /** Calls with active watches, by id, for the start. */
  loadWatchedCalls(page: { readonly afterCallId: string | null; readonly limit: number }): Promise<readonly WatchedCall[]>;
  /** Notes the last good poll of each at a stop, and gives them back. */
  releaseCalls(calls: readonly { readonly callId: string; readonly lastGoodPollAtMs: number | null }[]): Promise<void>;
}
