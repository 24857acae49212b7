import type { UnownedCalls } from "../../domain/calls/call-balance.ts";
import type { Notice, WatchedCall } from "./call-store.ts";
import type { GateState } from "./shared-source-store.ts";

/** Share of one instance in a source, as of its last heartbeat. */
export type SourceShare = {
  /** Number of calls that the instance owns. */
  readonly calls: number;
  /** The only account that these calls belong to; `null` if there are several, or no calls. */
  readonly soleAccountId: string | null;
  /** Number of these calls that are about to end with 400 or 404 while no call of the source succeeds. */
  readonly uncorroborated: number;
  /** Number of polls in the last 10 s, and number of failed ones among them. */
  readonly recentPolls: number;
  readonly recentFailures: number;
  /** Time of the last parsed 200; `null` if there was none yet. */
  readonly lastGoodPollAtMs: number | null;
  /** Last status that is in no status map; `null` if there was none. */
  readonly lastUnknownStatus: string | null;
  /** Published polls per second, at least the rate in effect there. */
  readonly ratePerSecond: number;
  /** How long its oldest due poll has been due; 0 if none is. */
  readonly oldestDuePollMs: number;
};

/** Shares by source name. */
export type Shares = Readonly<Record<string, SourceShare>>;

/** One process of the service. Tokens are unique and grow: a higher one joined later. */
export type Instance = {
  readonly token: number;
  readonly shares: Shares;
  /** Ids of its encryption keys; empty while it starts. */
  readonly keyIds: readonly string[];
};

/** The live instances including this one, by token. */
export type ClusterView = { readonly kind: "alive"; readonly token: number; readonly instances: readonly Instance[] };

/** Result of one sweep. An idle instance sweeps once a second. */
export type Sweep = {
  /** Grows with every committed event that the feed shows. */
  readonly feedPosition: string;
  /** Whether a delivery is due for an endpoint with capacity. */
  readonly isDeliveryDue: boolean;
  /** Calls of this instance for which another one registered or removed a watch, until `loadOwnedCalls` reads them. */
  readonly dirtyCallIds: readonly string[];
  /** Deliveries leased to this instance that were settled meanwhile; their attempts must not start. */
  readonly settledDeliveryIds: readonly string[];
  /** Endpoints of leased deliveries that were paused or disabled meanwhile, or whose host was paused. */
  readonly closedEndpointIds: readonly string[];
  /** Gates that changed since the previous sweep. */
  readonly gates: readonly GateState[];
  /** Instances whose lease has ended; they own their calls until they are evicted. */
  readonly expiredTokens: readonly number[];
  /** Whether there are watched calls that no instance owns. */
  readonly hasUnownedCalls: boolean;
  readonly disabledAccountIds: readonly string[];
  /** Grows with every change of a source by the operator. */
  readonly sourceRevisions: number;
};

/**
 * Instances and their calls. An instance is a row with a lease, measured by the database's clock; a call is owned through
 * the token of that row. Ownership ends when the row is deleted, not when the lease ends: an instance that no other one
 * evicted (because Postgres was unavailable to all) renews its lease and keeps its calls. Every write of an evicted
 * instance is refused with `InstanceFencedError`. All methods reject with `StoreUnavailableError` while the database is
 * unavailable.
 */
export interface InstanceStore {
  /** Creates a row with a new token. Every later write carries the token. */
  join(request: { readonly version: string; readonly leaseMs: number; readonly shares: Shares }): Promise<ClusterView>;
  /** Renews the lease and publishes the shares; `fenced` if the instance was evicted. */
  heartbeat(request: { readonly leaseMs: number; readonly shares: Shares }): Promise<ClusterView | { readonly kind: "fenced" }>;
  /**
   * Raises published rates, serialised over the instances, so that they never add up to more than the limit. Resolves with
   * the granted rates, between the published and the wanted ones.
   */
  raiseRates(
    wanted: Readonly<Record<string, { readonly wantedPerSecond: number; readonly limitPerSecond: number }>>,
  ): Promise<Readonly<Record<string, number>>>;
  /** Reads the changes that other instances made. */
  sweep(): Promise<Sweep>;
  /** Returns at most `limit` events after `position` that other instances committed, for requests that wait. */
  listNotices(request: {
    readonly position: string;
    readonly limit: number;
  }): Promise<{ readonly notices: readonly Notice[]; readonly position: string; readonly more: boolean }>;
  /** Returns the watches among these that have ended or were deleted. */
  listEnded(watchIds: readonly string[]): Promise<readonly string[]>;
  /** Returns those of the given calls that this instance owns and that have a watch. Releases the other calls, and marks all as read. */
  loadOwnedCalls(callIds: readonly string[]): Promise<readonly WatchedCall[]>;
  /** Returns the number of watched calls without an owner, by source. */
  countUnownedCalls(): Promise<Readonly<Record<string, UnownedCalls>>>;
  /** Returns the number of a source's watched calls that each of these instances owns, by token; none of those without calls. */
  countOwnedCalls(sourceName: string, tokens: readonly number[]): Promise<ReadonlyMap<number, number>>;
  /** Returns a page of the ids of the watched calls that this instance owns, in their order. */
  listOwnedCallIds(page: { readonly afterCallId: string | null; readonly limit: number }): Promise<readonly string[]>;
  /**
   * Claims at most `limit` unowned calls of the source, except those that another instance is claiming. With `isLeft`, only
   * calls that a dead or stopped instance left; with `deadlineBeforeMs`, only calls whose earliest deadline was before.
   */
  claimCalls(request: {
    readonly sourceName: string;
    readonly limit: number;
    readonly isLeft: boolean;
    readonly deadlineBeforeMs: number | null;
  }): Promise<readonly WatchedCall[]>;
  /** Returns the deliveries that are leased to this instance. */
  listLeases(): Promise<readonly { readonly deliveryId: string; readonly leaseToken: number }[]>;
  /** Deletes the instances whose lease has ended, and thereby frees their calls. Resolves with the number of instances. */
  evict(tokens: readonly number[]): Promise<number>;
  /** Deletes the row of this instance, and thereby frees everything that was not released before. */
  leave(): Promise<void>;
}
