import type { Actor } from "../../domain/audit.ts";
import type { Placing, PlacingRights, PlacingState } from "../../domain/calls/placing.ts";
import type { QuotaExceeded, Quotas } from "../../domain/quotas.ts";
import type { Notice } from "./call-store.ts";
import type { Page, PageRequest } from "./read-store.ts";
import type { EndpointConflict, EndpointDraft } from "./registration-store.ts";
import type { SendJob } from "./send-job.ts";

/** The intent to place a call. It is committed before anything is sent. */
export type PlacingDraft = {
  readonly id: string;
  readonly accountId: string;
  readonly sourceName: string;
  readonly idempotencyKey: string;
  /** Keyed hash of the account and the key: unique while the placing counts, and the id of the stored answer. */
  readonly keyHash: string;
  readonly callHash: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** The watch that was asked for, sealed with the associated data `<placing id>:placing`. */
  readonly sealedRequest: Uint8Array;
  readonly leaseUntilMs: number;
  /** Endpoint of the watch; `null` if it has no callback URL. It is compared with an existing one, and not made yet. */
  readonly endpoint: EndpointDraft | null;
  /** Whether the intent is refused if the account has no hook. */
  readonly needsHook: boolean;
  readonly quotas: Quotas;
  /** Numbers of placings that the account may make; `null` if they are not counted. */
  readonly limits: Pick<PlacingRights, "perMinute" | "perDay"> | null;
  /** Whether the watch is only checked, because the request is refused for another reason after that. Nothing is written. */
  readonly isCheckOnly: boolean;
  readonly nowMs: number;
};

export type CreatePlacingResult =
  | { readonly kind: "created" }
  /** A check found nothing to refuse. */
  | { readonly kind: "checked" }
  /** Another request uses the key. */
  | { readonly kind: "key_used" }
  | { readonly kind: "limited"; readonly limit: "perMinute" | "perDay"; readonly retryAfterMs: number }
  | EndpointConflict
  | QuotaExceeded
  /** The watch needs a hook, and the account has none. */
  | { readonly kind: "callback_required" };

/** Placing under a key. `hasWatch`: its watch is still kept. */
export type KeyedPlacing = { readonly placing: Placing; readonly hasWatch: boolean };

/** Calls that clients asked for. Their settling by a SID is part of `registerWatches`, which makes the watch. */
export interface PlacingStore {
  /** Finds the placing whose key counts; `null` if the key is free. */
  findPlacing(query: { readonly accountId: string; readonly keyHash: string }): Promise<KeyedPlacing | null>;
  /** Commits an intent unless its watch, its key or the account's number of placings refuses it. */
  createPlacing(draft: PlacingDraft): Promise<CreatePlacingResult>;
  /** Deletes an intent of which nothing rang, so that its key is free. Does nothing unless it is `sending`. */
  dropPlacing(request: { readonly accountId: string; readonly placingId: string }): Promise<void>;
  /**
   * Makes the intent `unknown`, or with `null` up to `limit` intents whose lease ended by `leasedUntilMs`, and publishes
   * `call.unknown` for each. Returns those that it changed.
   */
  losePlacings(request: {
    readonly placingId: string | null;
    readonly leasedUntilMs: number;
    readonly nowMs: number;
    readonly limit: number;
  }): Promise<{
    readonly placings: readonly Placing[];
    readonly jobs: readonly SendJob[];
    readonly notices: readonly Notice[];
  }>;
  /** Lists a page of the placings of an account, newest first. */
  listPlacings(query: PageRequest & { readonly accountId: string; readonly state: PlacingState | null }): Promise<Page<Placing>>;
  /** Returns a placing with the watch that was asked for (`null` once it is settled) and the hash of its key; `null` for an unknown id. */
  getPlacing(
    accountId: string,
    placingId: string,
  ): Promise<{ readonly placing: Placing; readonly sealedRequest: Uint8Array | null; readonly keyHash: string | null } | null>;
  /**
   * Settles an unknown placing as a call that did not ring, which frees its key. False if it is not `unknown`. With `isCheckOnly`
   * nothing is changed.
   */
  freePlacing(request: {
    readonly accountId: string;
    readonly placingId: string;
    readonly isCheckOnly: boolean;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<boolean>;
}
