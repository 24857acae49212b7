import type { Attempt } from "../../domain/deliveries/attempt.ts";
import type { CallStatus } from "../../domain/calls/call.ts";
import type { Delivery, DeliveryStatus } from "../../domain/deliveries/delivery.ts";
import type { Endpoint } from "../../domain/deliveries/endpoint.ts";
import type { RingbackEvent } from "../../domain/events/event.ts";
import type { EventFilter, TypeSelection } from "../../domain/events/event-filter.ts";
import type { Watch, WatchStatus } from "../../domain/calls/watch.ts";

/** A page of a list. `cursor` is opaque to everybody but the store; a malformed one rejects with `CursorInvalidError`. */
export type PageRequest = { readonly limit: number; readonly cursor: string | null };
export type Page<T> = { readonly data: readonly T[]; readonly nextCursor: string | null };

/** The endpoint's pause in force: its own or its host's, whichever ends later. */
export type EndpointSummary = Pick<Endpoint, "id" | "state" | "reason" | "format"> & { readonly pausedUntilMs: number | null };

export type WatchView = {
  readonly watch: Watch;
  readonly call: CallStatus;
  readonly endpoint: EndpointSummary | null;
  /** Its deliveries not settled yet, for `explain`. */
  readonly pendingDeliveries: number;
};

export type EventView = {
  readonly event: RingbackEvent;
  readonly deliveries: readonly Pick<Delivery, "id" | "endpointId" | "status" | "attemptCount" | "nextAttemptAtMs">[];
};

export type DeliveryView = {
  readonly delivery: Delivery;
  readonly endpoint: EndpointSummary;
  /** Claimable from then on; null while it waits for an earlier one of its lane (`blockedBySequence`). */
  readonly dueAtMs: number | null;
  readonly blockedBySequence: number | null;
  readonly leased: boolean;
};

export type EndpointView = {
  readonly endpoint: Endpoint;
  readonly hostPausedUntilMs: number | null;
  readonly hostPausedSinceMs: number | null;
  /** Deliveries owed (pending). */
  readonly backlog: number;
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
  /** Where to go on (excluded); null: from the oldest, or from `sinceMs`. */
  readonly cursor: string | null;
  /** Events recorded at or after it. */
  readonly sinceMs: number | null;
  readonly callSid: string | null;
} & TypeSelection;

/** What the API reads. Everything belongs to one account and every method says which; an id of another account is as unknown as any. */
export interface ReadStore {
  getWatch(accountId: string, watchId: string): Promise<WatchView | null>;
  /** Newest first. */
  listWatches(
    query: PageRequest & { readonly accountId: string; readonly status: WatchStatus | null; readonly callSid: string | null },
  ): Promise<Page<WatchView>>;
  /** By sequence; null for an unknown watch. */
  listWatchEvents(query: PageRequest & { readonly accountId: string; readonly watchId: string }): Promise<Page<EventView> | null>;
  getEvent(accountId: string, eventId: string): Promise<EventView | null>;
  /** Oldest first, in commit order: an event appears only when no earlier one can still appear before it. `nextCursor` is never null. */
  readFeed(query: FeedQuery): Promise<{ readonly data: readonly EventView[]; readonly nextCursor: string }>;
  /** The newest events of the account that are selected; for a hook's sample. */
  listRecentEvents(query: TypeSelection & { readonly accountId: string; readonly limit: number }): Promise<readonly RingbackEvent[]>;
  /** null unless the account has or had a watch on it. */
  getCall(query: {
    readonly accountId: string;
    readonly sourceName: string;
    readonly callSid: string;
  }): Promise<{ readonly callSid: string; readonly sourceName: string; readonly status: CallStatus } | null>;
  listDeliveries(
    query: PageRequest & {
      readonly accountId: string;
      readonly endpointId: string | null;
      readonly watchId: string | null;
      readonly status: DeliveryStatus | null;
    },
  ): Promise<Page<DeliveryView>>;
  getDelivery(
    accountId: string,
    deliveryId: string,
  ): Promise<{ readonly view: DeliveryView; readonly attempts: readonly Attempt[] } | null>;
  getEndpoint(accountId: string, endpointId: string): Promise<EndpointView | null>;
  listEndpoints(query: PageRequest & { readonly accountId: string }): Promise<Page<EndpointView>>;
  getHook(accountId: string, hookId: string): Promise<HookView | null>;
  listHooks(query: PageRequest & { readonly accountId: string }): Promise<Page<HookView>>;
}
