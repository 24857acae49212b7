import type { PayloadFormat } from "../../domain/events/payload.ts";
import type { EventFilter } from "../../domain/events/event-filter.ts";
import type { Account } from "../stores/account-store.ts";
import type { HookView, WatchView } from "../stores/read-store.ts";
import type { KeyedRequest, IdempotencyKeyInUse } from "./idempotency.ts";

/** One invalid field; `pointer` is a JSON pointer (RFC 6901) into the body, or into the item of a batch. */
export type FieldError = { readonly pointer: string; readonly detail: string };

/** Settings of the endpoint that a registration names. A field is `null` if the client left it out. */
export type EndpointRequest = {
  readonly format: PayloadFormat | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly signingSecret: string | null;
};

/** Request for a watch. Its syntax was checked, but not its addresses, source and quotas. */
export type WatchRequest = EndpointRequest & {
  readonly callSid: string;
  readonly callbackUrl: string | null;
  readonly filter: EventFilter;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sourceName: string;
  readonly expiresAtMs: number | null;
};

/** `slug` completes `urn:ringback:problem:`. */
export type Refusal =
  | { readonly kind: "invalid"; readonly slug: "invalid-request" | "no-source" | "blocked-address"; readonly errors: readonly FieldError[] }
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

/** Registrations. Resolved means committed; rejects with `StoreUnavailableError` or `StoreOverloadedError` if nothing was accepted. */
export interface Registration {
  registerWatch(
    account: Account,
    request: WatchRequest,
    keyed: KeyedRequest<WatchOutcome> | null,
  ): Promise<WatchOutcome | IdempotencyKeyInUse>;
  /** Registers 1 to 1,000 watches. Accepted ones are committed together; outcomes are in the order of the requests. */
  registerBatch(
    account: Account,
    requests: readonly WatchRequest[],
    keyed: KeyedRequest<BatchOutcome> | null,
  ): Promise<BatchOutcome | IdempotencyKeyInUse>;
  /** Removes a watch and cancels its pending deliveries; with `purge`, deletes its events too. False if the id is unknown. */
  removeWatch(account: Account, watchId: string, purge: boolean): Promise<boolean>;
  /** Registers a hook, which receives the events of all watches of the account. */
  registerHook(account: Account, request: HookRequest, keyed: KeyedRequest<HookOutcome> | null): Promise<HookOutcome | IdempotencyKeyInUse>;
  /** Removes a hook and cancels deliveries that are pending for it alone. Unknown ids are ignored. */
  removeHook(account: Account, hookId: string): Promise<void>;
}
