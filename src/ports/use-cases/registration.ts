import type { Actor } from "../../domain/audit.ts";
import type { EndpointFormat } from "../../domain/webhooks/webhook-content.ts";
import type { EventFilter } from "../../domain/events/event-filter.ts";
import type { Account } from "../stores/account-store.ts";
import type { HookView, WatchView } from "../stores/read-store.ts";
import type { KeyedRequest, IdempotencyKeyInUse } from "./idempotency.ts";

/** One invalid field; `pointer` is a JSON pointer (RFC 6901) into the body, or into the item of a batch. */
export type FieldError = { readonly pointer: string; readonly detail: string };

/** Settings of the endpoint that a registration names. A field is `null` if the client left it out. */
export type EndpointRequest = {
  readonly format: EndpointFormat | null;
  /** Stored text of the template; not `null` if the format is `template`. */
  readonly request: string | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly signingSecret: string | null;
};

/** Request for a watch of a call that is about to be placed. */
export type PlacedWatchRequest = Omit<WatchRequest, "callSid">;

/** Request for a watch. Its syntax was checked, but not its addresses, source and quotas. */
export type WatchRequest = EndpointRequest & {
  readonly callSid: string;
  readonly callbackUrl: string | null;
  /** Whether the callback URL was left out, so that the account must have a hook. An explicit `null` says that the client reads the feed. */
  readonly needsHook: boolean;
  readonly filter: EventFilter;
  readonly metadata: Readonly<Record<string, string>>;
  /** `null` if the request names none: `default`, or the only source that was made for the account alone. */
  readonly sourceName: string | null;
  readonly expiresAtMs: number | null;
  /** Valid `traceparent` of the request (W3C Trace Context); `null` without one. */
  readonly trace: string | null;
};

/** `slug` completes `urn:ringback:problem:`. */
export type Refusal =
  | {
      readonly kind: "invalid";
      readonly slug: "invalid-request" | "no-source" | "blocked-address" | "cannot-place";
      readonly errors: readonly FieldError[];
    }
  | {
      readonly kind: "conflict";
      readonly slug: "watch-differs" | "endpoint-differs";
      readonly detail: string;
      readonly watchId: string | null;
      readonly endpointId: string | null;
    }
  | { readonly kind: "forbidden"; readonly slug: "quota-exceeded"; readonly detail: string }
  | { readonly kind: "later"; readonly slug: "source-saturated"; readonly detail: string; readonly retryAfterMs: number };

export type WatchOutcome =
  | {
      readonly kind: "created" | "existing";
      readonly view: WatchView;
      /** Generated secret, shown only in this answer; `null` if none was generated. */ readonly signingSecret: string | null;
    }
  | Refusal;

export type BatchOutcome = { readonly kind: "batch"; readonly outcomes: readonly WatchOutcome[] };

export type HookRequest = EndpointRequest & {
  readonly url: string;
  /** Field of the body that contained the URL, for pointers: `url`, `target_url`, `targetUrl` or `hookUrl`. */
  readonly urlKey: string;
  readonly filter: EventFilter;
};

export type HookOutcome = { readonly kind: "created" | "existing"; readonly view: HookView; readonly secret: string | null } | Refusal;

/** Change of a watch: fields that are absent stay. An `expiresAtMs` of `null` is the default deadline, from now. */
export type WatchChange = {
  readonly filter?: EventFilter;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly expiresAtMs?: number | null;
};

export type WatchChangeOutcome =
  | { readonly kind: "changed"; readonly view: WatchView }
  | { readonly kind: "unknown" }
  | { readonly kind: "ended" }
  | Refusal;

/** Registrations. Resolved means committed; rejects with `StoreUnavailableError` or `StoreOverloadedError` if nothing was accepted. */
export interface Registration {
  /** Registers one watch. A refusal writes nothing. */
  registerWatch(
    account: Account,
    request: WatchRequest,
    keyed: KeyedRequest<WatchOutcome> | null,
    by: Actor,
  ): Promise<WatchOutcome | IdempotencyKeyInUse>;
  /** Registers 1 to 1,000 watches. Accepted ones are committed together; outcomes are in the order of the requests. */
  registerBatch(
    account: Account,
    requests: readonly WatchRequest[],
    keyed: KeyedRequest<BatchOutcome> | null,
    by: Actor,
  ): Promise<BatchOutcome | IdempotencyKeyInUse>;
  /** Removes a watch and cancels its pending deliveries; with `purge`, deletes its events too. False if the id is unknown. */
  removeWatch(account: Account, watchId: string, purge: boolean, by: Actor): Promise<boolean>;
  /** Changes an active watch, for the events that are written afterwards. */
  changeWatch(account: Account, watchId: string, change: WatchChange): Promise<WatchChangeOutcome>;
  /** Registers a hook, which receives the events of all watches of the account. */
  registerHook(
    account: Account,
    request: HookRequest,
    keyed: KeyedRequest<HookOutcome> | null,
    by: Actor,
  ): Promise<HookOutcome | IdempotencyKeyInUse>;
  /** Removes a hook and cancels deliveries that are pending for it alone. Unknown ids are ignored. */
  removeHook(account: Account, hookId: string, by: Actor): Promise<void>;
}
