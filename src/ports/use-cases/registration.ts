import type { Attempt } from "../../domain/deliveries/attempt.ts";
import type { CallProblem } from "../../domain/calls/call.ts";
import type { PayloadFormat, SignatureScheme, LatePolicy } from "../../domain/deliveries/endpoint.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { Account } from "../stores/account-store.ts";
import type { DeliveryView, EndpointView, HookView, WatchView } from "../stores/read-store.ts";

/** One thing wrong with a request; `pointer` is a JSON pointer into the body (the item, in a batch). */
export type FieldError = { readonly pointer: string; readonly detail: string };

/** What a client asks for; syntax is checked already, addresses, sources and quotas are not. */
export type WatchRequest = {
  readonly callSid: string;
  readonly callbackUrl: string | null;
  readonly events: readonly string[] | null;
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
  readonly events: readonly string[] | null;
  readonly format: PayloadFormat | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly signingSecret: string | null;
};
export type HookOutcome = { readonly kind: "created" | "existing"; readonly view: HookView; readonly secret: string | null } | Refusal;

/** A request that named an `Idempotency-Key`. */
export type IdempotentRequest = {
  readonly accountId: string;
  readonly method: string;
  readonly path: string;
  readonly key: string;
  /** Of the bytes as sent. */
  readonly bodyHash: string;
};

/** What is sent again, byte for byte. */
export type StorableAnswer = { readonly status: number; readonly contentType: string; readonly body: string };

/**
 * A request under a key, and what its outcome is answered. `answerOf` is called before the work is committed and perhaps
 * again if that has to be done over: it does nothing but compute. null: this outcome is not stored.
 */
export type Claim<Outcome> = { readonly request: IdempotentRequest; readonly answerOf: (outcome: Outcome) => StorableAnswer | null };

/** The key was used before: nothing was done. */
export type IdempotencyKeyInUse = { readonly kind: "key_taken" } & (
  | { readonly by: "running" }
  /** A request with another body. */
  | { readonly by: "other_request" }
  | { readonly by: "same_request"; readonly answer: StorableAnswer }
);

/** The key belongs to this request until it is disposed of; others of this process are told that it is running. */
export type IdempotencyKeyUse = Disposable & { readonly kind: "held"; readonly request: IdempotentRequest };

export interface IdempotencyKeys {
  /** Before anything of the request is judged: takes the key, or says by whom it is taken. */
  take(request: IdempotentRequest): Promise<IdempotencyKeyUse | IdempotencyKeyInUse>;
}

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

export type EndpointChange = {
  readonly format?: PayloadFormat;
  /** Replaces all of them; an empty object removes them. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxInFlight?: number;
  readonly maxPerSecond?: number | null;
  readonly signatures?: readonly SignatureScheme[];
  readonly late?: LatePolicy;
  readonly state?: "enabled" | "paused" | "disabled";
};

export type RotationOutcome =
  | { readonly kind: "rotated"; readonly signingSecret: string; readonly previousValidUntilMs: number }
  | { readonly kind: "unknown" };

export interface EndpointSettings {
  /** null for an unknown endpoint. */
  patch(account: Account, endpointId: string, change: EndpointChange): Promise<EndpointView | null>;
  /** `signingSecret` null: one is made. */
  rotateSecret(
    account: Account,
    endpointId: string,
    request: { readonly graceSeconds: number; readonly signingSecret: string | null },
    claim: Claim<RotationOutcome> | null,
  ): Promise<RotationOutcome | IdempotencyKeyInUse>;
  setDefaultSecret(account: Account, signingSecret: string): Promise<void>;
}

type RecoverRefusal = { readonly kind: "unknown" } | { readonly kind: "endpoint_disabled" };
type SendRefusal = RecoverRefusal | { readonly kind: "rate_limited"; readonly retryAfterMs: number };
export type RetryOutcome =
  | { readonly kind: "accepted"; readonly view: DeliveryView }
  | SendRefusal
  | { readonly kind: "watch_deleted" }
  | { readonly kind: "in_flight" };
export type TestOutcome =
  | { readonly kind: "attempted"; readonly attempt: Attempt }
  | SendRefusal
  /** Accepted, but the service stopped or lost the delivery before the attempt was recorded. */
  | { readonly kind: "interrupted" };
export type RecoverOutcome = { readonly kind: "recovered"; readonly count: number } | RecoverRefusal;
export type ManualRefusal = Exclude<RetryOutcome | TestOutcome | RecoverOutcome, { kind: "accepted" | "attempted" | "recovered" }>;

/** Deliveries by hand. */
export interface ManualDelivery {
  /** Resolves when the attempt is accepted (leased), not when it is over. */
  retry(account: Account, deliveryId: string, claim: Claim<RetryOutcome> | null): Promise<RetryOutcome | IdempotencyKeyInUse>;
  /**
   * Resolves with the recorded attempt. A key covers the acceptance: the same key again sends no second test, and makes
   * the attempt of the first one if a crash came before it was recorded.
   */
  test(account: Account, endpointId: string, claim: Claim<TestOutcome> | null): Promise<TestOutcome | IdempotencyKeyInUse>;
  recover(
    account: Account,
    endpointId: string,
    span: { readonly sinceMs: number; readonly untilMs: number },
    claim: Claim<RecoverOutcome> | null,
  ): Promise<RecoverOutcome | IdempotencyKeyInUse>;
}

/** What only memory knows. */
export interface LiveState {
  /** null when it is another process that polls the call. */
  callProgress(
    callId: string,
    sourceName: string,
  ): { readonly polledAtMs: number | null; readonly nextPollAtMs: number | null; readonly problem: CallProblem | null } | null;
  /** The sources the account may use. */
  sources(account: Account): readonly SourceHealth[];
  /** Resolves true at the watch's next transition past `sequence` (or its end), false after `timeoutMs` or when the service stops. Subscribe before reading. */
  watchChanged(watchId: string, timeoutMs: number, signal: AbortSignal): Promise<boolean>;
  /** The same for any event of the account. */
  feedChanged(accountId: string, timeoutMs: number, signal: AbortSignal): Promise<boolean>;
  /** `notReady`: why no registration can be accepted, null when they can; `degraded`: upstream trouble, for people. */
  readiness(): Promise<{ readonly notReady: string | null; readonly degraded: readonly string[] }>;
}

/** Who asks. `findByKey` resolves null for an unknown or revoked key; it is on the path of every request and caches for at most 5 s. */
export interface Authentication {
  findByKey(key: string): Promise<Account | null>;
}
