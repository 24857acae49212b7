import type { LatePolicy, PayloadFormat } from "../../domain/deliveries/endpoint.ts";
import type { EventFilter } from "../../domain/events/event-filter.ts";
import type { Notice, WatchedCall } from "./call-store.ts";
import type { HookView, WatchView } from "./read-store.ts";
import type { SendJob } from "./send-job.ts";

export type SecretDraft = { readonly id: string; readonly sealed: Uint8Array; readonly fingerprints: readonly string[] };

/** The endpoint a registration names. It is made when the account has none for the URL; else what was given must agree with it. */
export type EndpointDraft = {
  readonly id: string;
  readonly url: string;
  readonly origin: string;
  /** null: left out. */
  readonly format: PayloadFormat | null;
  readonly defaultFormat: PayloadFormat;
  readonly late: LatePolicy;
  readonly headers: { readonly names: readonly string[]; readonly sealed: Uint8Array; readonly fingerprints: readonly string[] } | null;
  /** The client's own secret; null: left out, then the account's default or `generatedSecret` is taken. */
  readonly givenSecret: SecretDraft | null;
  readonly generatedSecret: SecretDraft;
};

/** 0 = no limit. */
export type Quotas = { readonly maxActiveWatches: number; readonly maxEndpoints: number; readonly maxHooks: number };

export type WatchDraft = {
  readonly id: string;
  readonly accountId: string;
  readonly sourceName: string;
  /** See `WatchedCall.scope`. */
  readonly scope: string;
  readonly callSid: string;
  /** The id the call gets if it is new. */
  readonly callId: string;
  readonly endpoint: EndpointDraft | null;
  readonly filter: EventFilter;
  readonly metadata: Readonly<Record<string, string>>;
  readonly expiresAtMs: number;
  readonly nowMs: number;
  /** The poller's last parsed 200 of this call, from memory; null when it knows none. */
  readonly polledAtMs: number | null;
  /** Sandbox: a new watch on an ended call starts the call's life anew instead of being told the old end. */
  readonly restartsEndedCall: boolean;
  readonly quotas: Quotas;
};

export type EndpointConflict = {
  readonly kind: "endpoint_differs";
  readonly endpointId: string;
  readonly fields: readonly ("format" | "headers" | "signing_secret")[];
};
export type QuotaExceeded = {
  readonly kind: "quota_exceeded";
  readonly quota: "active_watches" | "endpoints" | "hooks";
  readonly limit: number;
};

export type RegisterWatchResult =
  | {
      readonly kind: "created";
      readonly view: WatchView;
      /** The endpoint was made with `generatedSecret`, which is to be shown now and never again. */
      readonly showsGeneratedSecret: boolean;
      /** What the poller must know from now on; null when the call has ended (the watch is `completed`). */
      readonly call: WatchedCall | null;
      readonly notices: readonly Notice[];
      readonly jobs: readonly SendJob[];
    }
  | { readonly kind: "existing"; readonly view: WatchView }
  | { readonly kind: "watch_differs"; readonly watchId: string; readonly fields: readonly ("events" | "metadata")[] }
  | EndpointConflict
  | QuotaExceeded
  /** No `callback_url`, and the account has no hook. */
  | { readonly kind: "callback_required" };

export type HookDraft = {
  readonly id: string;
  readonly accountId: string;
  readonly endpoint: EndpointDraft;
  readonly filter: EventFilter;
  readonly nowMs: number;
  readonly quotas: Quotas;
};

export type RegisterHookResult =
  | { readonly kind: "created"; readonly view: HookView; readonly showsGeneratedSecret: boolean }
  | { readonly kind: "existing"; readonly view: HookView }
  | EndpointConflict
  | QuotaExceeded;

export type RemoveWatchResult =
  | { readonly kind: "removed"; readonly callId: string; readonly call: WatchedCall | null; readonly notices: readonly Notice[] }
  | { readonly kind: "unknown" };

export type RemovedHook = { readonly endpointId: string | null; readonly canceledLeased: readonly string[] };

/** What the registrar needs of the store. Each call is one transaction; resolved means on disk. */
export interface RegistrationStore {
  /** All or nothing reaches the disk together; each draft is judged by itself, in order. */
  registerWatches(drafts: readonly WatchDraft[]): Promise<readonly RegisterWatchResult[]>;
  registerHook(draft: HookDraft): Promise<RegisterHookResult>;
  /** Cancels an active watch and what is owed to it (`purge`: erases it with its events); ended ones stay as they are. */
  removeWatch(request: {
    readonly accountId: string;
    readonly watchId: string;
    readonly purge: boolean;
    readonly nowMs: number;
  }): Promise<RemoveWatchResult>;
  /**
   * Removes a hook and cancels what is owed to it alone. Unknown ids are fine: then `endpointId` is null. `canceledLeased`:
   * the deliveries among those that somebody holds a lease of; their attempts must not start any more.
   */
  removeHook(request: { readonly accountId: string; readonly hookId: string; readonly nowMs: number }): Promise<RemovedHook>;
}
