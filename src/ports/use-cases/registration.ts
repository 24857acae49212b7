import type { PayloadFormat } from "../../domain/deliveries/endpoint.ts";
import type { EventFilter } from "../../domain/events/event-filter.ts";
import type { Account } from "../stores/account-store.ts";
import type { HookView, WatchView } from "../stores/read-store.ts";
import type { Claim, IdempotencyKeyInUse } from "./idempotency.ts";

/** One thing wrong with a request; `pointer` is a JSON pointer into the body (the item, in a batch). */
export type FieldError = { readonly pointer: string; readonly detail: string };

/** What a client asks for; syntax is checked already, addresses, sources and quotas are not. */
export type WatchRequest = {
  readonly callSid: string;
  readonly callbackUrl: string | null;
  readonly filter: EventFilter;
  readonly metadata: Readonly<Record<string, string>>;
  readonly format: PayloadFormat | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly signingSecret: string | null;
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
      /** Made for this answer, to be shown once. */ readonly signingSecret: string | null;
    }
  | Refusal;

export type BatchOutcome = { readonly kind: "batch"; readonly outcomes: readonly WatchOutcome[] };

export type HookRequest = {
  readonly url: string;
  /** Where the URL stood in the body, for pointers: `url`, `target_url`, `targetUrl` or `hookUrl`. */
  readonly urlKey: string;
  readonly filter: EventFilter;
  readonly format: PayloadFormat | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly signingSecret: string | null;
};

export type HookOutcome = { readonly kind: "created" | "existing"; readonly view: HookView; readonly secret: string | null } | Refusal;

/** Registrations; resolved means on disk. Rejects with `StoreUnavailableError` or `StoreOverloadedError`, then nothing was accepted. */
export interface Registration {
  registerWatch(account: Account, request: WatchRequest, claim: Claim<WatchOutcome> | null): Promise<WatchOutcome | IdempotencyKeyInUse>;
  /** 1 to 1,000; all accepted ones are committed together; answers in the order asked. */
  registerBatch(
    account: Account,
    requests: readonly WatchRequest[],
    claim: Claim<BatchOutcome> | null,
  ): Promise<BatchOutcome | IdempotencyKeyInUse>;
  /** False for an unknown id. */
  removeWatch(account: Account, watchId: string, purge: boolean): Promise<boolean>;
  registerHook(account: Account, request: HookRequest, claim: Claim<HookOutcome> | null): Promise<HookOutcome | IdempotencyKeyInUse>;
  removeHook(account: Account, hookId: string): Promise<void>;
}
