import type { ActivityCount } from "../../domain/activity.ts";
import type { Attempt } from "../../domain/deliveries/attempt.ts";
import type { CallStatus } from "../../domain/calls/call.ts";
import type { Delivery, DeliveryStatus } from "../../domain/deliveries/delivery.ts";
import type { Endpoint } from "../../domain/deliveries/endpoint.ts";
import type { RecentAttempts } from "../../domain/deliveries/success-rate.ts";
import type { RingbackEvent } from "../../domain/events/event.ts";
import type { EventFilter, TypeSelection } from "../../domain/events/event-filter.ts";
import type { Watch, WatchStatus } from "../../domain/calls/watch.ts";

/** Page of a list. `cursor` is opaque to callers; a malformed one rejects with `CursorInvalidError`. */
export type PageRequest = { readonly limit: number; readonly cursor: string | null };
export type Page<T> = { readonly data: readonly T[]; readonly nextCursor: string | null };

/** `pausedUntilMs` is the end of the endpoint's own pause or its host's, the later of the two. */
export type EndpointSummary = Pick<Endpoint, "id" | "state" | "reason" | "format" | "request"> & { readonly pausedUntilMs: number | null };

export type WatchView = {
  readonly watch: Watch;
  readonly call: CallStatus;
  readonly endpoint: EndpointSummary | null;
  /** Number of the endpoint's deliveries that are not settled, for `explain`. */
  readonly pendingDeliveries: number;
};

export type EventView = {
  readonly event: RingbackEvent;
  readonly deliveries: readonly Pick<Delivery, "id" | "endpointId" | "status" | "attemptCount" | "nextAttemptAtMs">[];
};

/** An event with its first deliveries and the number of all of them. */
export type TimelineEvent = EventView & { readonly deliveryCount: number };

export type DeliveryView = {
  readonly delivery: Delivery;
  readonly endpoint: EndpointSummary;
  readonly endpointUrl: string;
  /** Time from which it can be claimed; `null` while an earlier delivery of its lane blocks it (`blockedBySequence`). */
  readonly dueAtMs: number | null;
  readonly blockedBySequence: number | null;
  readonly leased: boolean;
  /** The newest recorded attempt; `null` if there is none. */
  readonly lastAttempt: Pick<Attempt, "statusCode" | "error" | "startedAtMs"> | null;
};

export type EndpointView = {
  readonly endpoint: Endpoint;
  readonly hostPausedUntilMs: number | null;
  readonly hostPausedSinceMs: number | null;
  /** Hooks with this URL, also those that a 410 disabled. */
  readonly hookIds: readonly string[];
  /** Number of pending deliveries. */
  readonly backlog: number;
  /** Earliest due time of the pending deliveries that wait for no other of their lane. `null` if there is none. */
  readonly oldestDueAtMs: number | null;
};

export type HookView = {
  readonly id: string;
  readonly accountId: string;
  readonly url: string;
  readonly filter: EventFilter;
  readonly endpoint: EndpointSummary;
  readonly createdAtMs: number;
};

export type FeedQuery = {
  readonly accountId: string;
  readonly limit: number;
  /** Cursor to continue after; `latestCursor` for the end of the feed; `null` to start at the oldest event or at `sinceMs`. */
  readonly cursor: string | null;
  /** Lower bound of the time of recording, inclusive. */
  readonly sinceMs: number | null;
  readonly callSid: string | null;
} & TypeSelection;

/** Part of the feed. `cursors` has one for each event: the place behind it. `nextCursor` is where to go on, also after an empty page. */
export type FeedPage = { readonly data: readonly EventView[]; readonly cursors: readonly string[]; readonly nextCursor: string };

/** Reads for the API, each within one account: ids of other accounts are unknown. Rejects with `StoreUnavailableError`. */
export interface ReadStore {
  /** `null` if the watch is unknown, or was purged. */
  getWatch(accountId: string, watchId: string): Promise<WatchView | null>;
  /** Newest first. */
  listWatches(
    query: PageRequest & { readonly accountId: string; readonly status: WatchStatus | null; readonly callSid: string | null },
  ): Promise<Page<WatchView>>;
  /** The same, of the watches whose metadata has every pair of `metadata`, which has at least one. A page may be short and have a cursor. */
  listWatchesByMetadata(
    query: PageRequest & {
      readonly accountId: string;
      readonly status: WatchStatus | null;
      readonly callSid: string | null;
      readonly metadata: Readonly<Record<string, string>>;
    },
  ): Promise<Page<WatchView>>;
  /** Ordered by sequence; `null` if the watch is unknown. */
  listWatchEvents(query: PageRequest & { readonly accountId: string; readonly watchId: string }): Promise<Page<EventView> | null>;
  /** The same with the first `deliveriesOfEach` deliveries of each event: an account may have a hundred hooks. */
  listTimeline(
    query: PageRequest & { readonly accountId: string; readonly watchId: string; readonly deliveriesOfEach: number },
  ): Promise<Page<TimelineEvent> | null>;
  /** `null` if the event is unknown, or retention deleted it. */
  getEvent(accountId: string, eventId: string): Promise<EventView | null>;
  /**
   * Oldest first, in commit order: an event appears as soon as no earlier one can appear any more. `nextCursor` is never
   * `null`. An empty page means that no selected event is behind the cursor yet. The feed of an account begins behind the newest
   * event that retention deleted. Rejects with `CursorGoneError` if a reader of this cursor would miss an event.
   */
  readFeed(query: FeedQuery): Promise<FeedPage>;
  /** Returns the newest events of the account that are selected, newest first. Operational ones only where `types` names them. */
  listRecentEvents(query: TypeSelection & { readonly accountId: string; readonly limit: number }): Promise<readonly RingbackEvent[]>;
  /** `null` unless the account has or had a watch on the call. */
  getCall(query: {
    readonly accountId: string;
    readonly sourceName: string;
    readonly callSid: string;
  }): Promise<{ readonly callSid: string; readonly sourceName: string; readonly status: CallStatus } | null>;
  /** Newest first. */
  listDeliveries(
    query: PageRequest & {
      readonly accountId: string;
      readonly endpointId: string | null;
      readonly watchId: string | null;
      readonly status: DeliveryStatus | null;
    },
  ): Promise<Page<DeliveryView>>;
  /** `null` if the delivery is unknown. `attempts` are the newest 100, in the order of their numbers. */
  getDelivery(
    accountId: string,
    deliveryId: string,
  ): Promise<{ readonly view: DeliveryView; readonly attempts: readonly Attempt[] } | null>;
  /** `null` if the endpoint is unknown. */
  getEndpoint(accountId: string, endpointId: string): Promise<EndpointView | null>;
  /** Newest first. */
  listEndpoints(query: PageRequest & { readonly accountId: string }): Promise<Page<EndpointView>>;
  /** Returns the attempts of the last hour and of the last 24 hours, by endpoint of the account. An endpoint without any may be left out. */
  countAttempts(query: {
    readonly accountId: string;
    readonly endpointIds: readonly string[];
    readonly nowMs: number;
  }): Promise<readonly (RecentAttempts & { readonly endpointId: string })[]>;
  /**
   * Returns what happened in an account since `sinceMs`, by steps of `stepMs` and kinds. Steps are minutes within the last two
   * hours, and hours before that: a shorter step is answered with counts at the beginning of each hour.
   */
  readActivity(query: { readonly accountId: string; readonly sinceMs: number; readonly stepMs: number }): Promise<readonly ActivityCount[]>;
  /** `null` if the hook is unknown. */
  getHook(accountId: string, hookId: string): Promise<HookView | null>;
  /** Newest first. */
  listHooks(query: PageRequest & { readonly accountId: string }): Promise<Page<HookView>>;
}
