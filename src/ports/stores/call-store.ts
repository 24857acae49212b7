import type { CallChange, CallStatus } from "../../domain/calls/call.ts";
import type { SendJob } from "./send-job.ts";

/**
 * A call that is to be polled, because it has at least one active watch of an account that is not disabled. Watches of disabled
 * accounts count for none of the facts below.
 */
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
  /**
   * Whether the last commit is not written for all watches yet. No other commit is accepted before `commitPortion` has
   * written the rest; until then the times above are those of watches that may have ended with that commit.
   */
  readonly isUnfinished: boolean;
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

/** Request for the next portion of an unfinished commit. `accountId` as in `CallCommit`. */
export type CallPortion = Pick<CallCommit, "callId" | "accountId" | "expectedVersion" | "nowMs">;

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
  /**
   * `jobs` are the new heads of their lanes, leased; `call` is `null` if it ended or no watch is left. If `call` is
   * unfinished, the watches that have no event yet receive theirs by `commitPortion`.
   */
  | {
      readonly kind: "committed";
      readonly call: WatchedCall | null;
      readonly notices: readonly Notice[];
      readonly jobs: readonly SendJob[];
    }
  /**
   * Another process changed or owns the call, or an earlier commit is unfinished, and nothing was written. `call` is its
   * state; `null` if this process must not poll it.
   */
  | { readonly kind: "stale"; readonly call: WatchedCall | null };

/**
 * Calls, for the poller. Resolved means committed; all methods reject with `StoreUnavailableError` if nothing can be
 * committed.
 */
export interface CallStore {
  /**
   * Commits a transition with its events and deliveries in one transaction, serialised with registrations of the call. A
   * transition of more watches than one transaction writes commits the state of the call alone, as a mark: its watches are
   * shown as the mark leaves them, and their events follow in portions.
   */
  commitCall(commit: CallCommit): Promise<CallCommitResult>;
  /** Writes the events of the next watches of an unfinished commit, by account and id. Any process that owns the call may go on. */
  commitPortion(request: CallPortion): Promise<CallCommitResult>;
  /**
   * Stops polling those of the calls that disabled accounts alone watch: stores their last good poll and (on a shared database)
   * releases them. Returns the others, as they are now.
   */
  parkCalls(calls: readonly { readonly callId: string; readonly lastGoodPollAtMs: number | null }[]): Promise<readonly WatchedCall[]>;
  /** Returns a page of the calls that this process polls, by id. */
  loadWatchedCalls(page: { readonly afterCallId: string | null; readonly limit: number }): Promise<readonly WatchedCall[]>;
  /**
   * Stores the last good poll of each call and releases the calls: to instances that have fewer (`balance`), or to any of them,
   * because this process stops (`stop`).
   */
  releaseCalls(
    calls: readonly { readonly callId: string; readonly lastGoodPollAtMs: number | null }[],
    why: "balance" | "stop",
  ): Promise<void>;
}
