import type { Actor } from "../../domain/audit.ts";
import type { Placing } from "../../domain/calls/placing.ts";
import type { CallBody } from "../call-trigger.ts";
import type { Account } from "../stores/account-store.ts";
import type { WatchView } from "../stores/read-store.ts";
import type { IdempotencyKeyInUse, IdempotencyKeys, KeyedRequest } from "./idempotency.ts";
import type { PlacedWatchRequest, Refusal } from "./registration.ts";

/** Request to place a call and watch it. Its syntax was checked, but not the `call`. */
export type PlaceRequest = PlacedWatchRequest & { readonly call: CallBody };

/** A call that was not placed. `slug` completes `urn:ringback:problem:`. */
export type NotPlaced = {
  readonly kind: "not_placed";
  readonly slug:
    | "may-not-place"
    | "placing-limit"
    | "source-suspended"
    | "source-refused"
    | "upstream-unreachable"
    | "upstream-rate-limited"
    | "store-unavailable"
    | "call-refused";
  readonly detail: string;
  /** `null` if a repeat is no remedy. */
  readonly retryAfterMs: number | null;
  /** Status code of the upstream's refusal; `null` if it did not refuse the call. */
  readonly upstreamStatus: number | null;
};

export type PlacedWatch = { readonly kind: "created" | "existing"; readonly view: WatchView; readonly signingSecret: string | null };

export type PlaceOutcome =
  | PlacedWatch
  | Refusal
  | NotPlaced
  /** The call may ring; a person decides. */
  | { readonly kind: "call_unknown"; readonly placingId: string };

export type ResolveOutcome =
  | { readonly kind: "resolved"; readonly placing: Placing }
  | { readonly kind: "unknown" }
  /** The placing is not `unknown`. */
  | { readonly kind: "settled" }
  | Refusal;

export type ResolveOptions = {
  /** Renders the answer that the key of the placing has from then on. */
  readonly answerOf: KeyedRequest<PlaceOutcome>["answerOf"];
  /** The request, if it has an `Idempotency-Key`. */
  readonly keyed: KeyedRequest<ResolveOutcome> | null;
  readonly by: Actor;
};

/** Placing of calls. `take` acquires the key of a placing, which counts as long as the placing is kept. */
export interface CallPlacing extends IdempotencyKeys {
  /** Places a call at most once for its key, and watches it. */
  place(account: Account, request: PlaceRequest, keyed: KeyedRequest<PlaceOutcome>, by: Actor): Promise<PlaceOutcome | IdempotencyKeyInUse>;
  /** Settles an unknown placing: by the SID of the call, or as a call that did not ring (`null`). */
  resolve(
    account: Account,
    placingId: string,
    callSid: string | null,
    options: ResolveOptions,
  ): Promise<ResolveOutcome | IdempotencyKeyInUse>;
}
