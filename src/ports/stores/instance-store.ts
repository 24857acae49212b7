import type { Notice, WatchedCall } from "./call-store.ts";
import type { GateState } from "./shared-source-store.ts";

/** What an instance has of one source, as it told the others at its last heartbeat. */
export type SourceShare = {
  /** Calls it owns. */
  readonly calls: number;
  /** Of them, those that would end by 400 or 404 but for the missing witness. */
  readonly uncorroborated: number;
  /** Polls of the last 10 s, and how many of them failed. */
  readonly recentPolls: number;
  readonly recentFailures: number;
  /** The last parsed 200; null: none yet. */
  readonly lastGoodPollAtMs: number | null;
  /** Polls a second that others must reckon with: what is in effect there, or more. */
  readonly ratePerSecond: number;
};

/** By the source's name. */
export type Shares = Readonly<Record<string, SourceShare>>;

/** One process of the service. Tokens grow and are never given twice: the higher one joined later. */
export type Instance = {
  readonly token: number;
  readonly shares: Shares;
  /** The encryption keys it was started with; empty: it is only just starting. */
  readonly keyIds: readonly string[];
};

/** The instances that are alive, this one with them, by token. */
export type ClusterView = { readonly kind: "alive"; readonly token: number; readonly instances: readonly Instance[] };

/** What one look at the database says, once a second on an idle instance. */
export type Sweep = {
  /** Moves with every event that anybody committed and that may be read now. */
  readonly feedPosition: string;
  /** A delivery is due for somebody who has room. */
  readonly isDeliveryDue: boolean;
  /** Calls of this instance that another one registered or removed a watch of, until `loadOwnedCalls` has looked at them. */
  readonly dirtyCallIds: readonly string[];
  /** Deliveries leased by this instance that are settled meanwhile: no attempt of theirs may start. */
  readonly settledDeliveryIds: readonly string[];
  /** Endpoints that deliveries are leased for by this instance, and that are paused or disabled meanwhile, or whose host is. */
  readonly closedEndpointIds: readonly string[];
  /** Gates of sources that changed since the sweep before. */
  readonly gates: readonly GateState[];
  /** Instances whose lease has ended; they still own what they have until they are evicted. */
  readonly expiredTokens: readonly number[];
  /** There are watched calls that no instance owns. */
  readonly hasUnownedCalls: boolean;
  /** Grows with every change of a source that the operator set. */
  readonly sourceRevisions: number;
};

/**
 * Who owns which calls. An instance is a row with a lease, judged by the database's clock; a call is owned by naming the
 * row's token. InstanceCoordinator ends when the row is deleted, never before: an instance whose lease has ended and whom nobody
 * evicted (Postgres was away for everybody) renews it and goes on with what it holds. Once it is evicted every write of
 * its is refused with `InstanceFencedError`. All methods reject with `StoreUnavailableError` while the database cannot be reached.
 */
export interface InstanceStore {
  /** A new row with a token of its own, which every write carries from now on. */
  join(request: { readonly version: string; readonly leaseMs: number; readonly shares: Shares }): Promise<ClusterView>;
  /** Renews the lease and tells the others the shares. `fenced`: it was evicted. */
  heartbeat(request: { readonly leaseMs: number; readonly shares: Shares }): Promise<ClusterView | { readonly kind: "fenced" }>;
  /**
   * Raises published rates, one instance after the other, so that they never add up to more than the limit. Resolves
   * with what is granted, between the rate published and the one wanted.
   */
  raiseRates(
    wanted: Readonly<Record<string, { readonly wantedPerSecond: number; readonly limitPerSecond: number }>>,
  ): Promise<Readonly<Record<string, number>>>;
  sweep(): Promise<Sweep>;
  /** Events after `position` that others committed, at most `limit`, for `wait` requests. */
  listNotices(request: {
    readonly position: string;
    readonly limit: number;
  }): Promise<{ readonly notices: readonly Notice[]; readonly position: string; readonly more: boolean }>;
  /** Those of the watches that are active no more, or gone. */
  listEnded(watchIds: readonly string[]): Promise<readonly string[]>;
  /** Those of the calls that this instance owns and somebody watches; it lets go of the others. They are touched no more. */
  loadOwnedCalls(callIds: readonly string[]): Promise<readonly WatchedCall[]>;
  /** How many watched calls nobody owns, by source. */
  countUnownedCalls(): Promise<Readonly<Record<string, number>>>;
  /**
   * Takes at most `limit` free calls of the source, in one batch; what another instance is taking at the moment is left to
   * it. `deadlineBeforeMs`: of those alone whose earliest deadline was before.
   */
  claimCalls(request: {
    readonly sourceName: string;
    readonly limit: number;
    readonly deadlineBeforeMs: number | null;
  }): Promise<readonly WatchedCall[]>;
  /** Deliveries that the store has leased to this instance. */
  listLeases(): Promise<readonly { readonly deliveryId: string; readonly leaseToken: number }[]>;
  /** Deletes those whose lease has ended: what they had is free. Resolves with how many it was. */
  evict(tokens: readonly number[]): Promise<number>;
  /** Deletes the own row. What was not given back before is free from then on. */
  leave(): Promise<void>;
}
