import type { LatePolicy } from "../../domain/deliveries/endpoint.ts";
import type { PayloadFormat } from "../../domain/events/payload.ts";
import type { EventFilter } from "../../domain/events/event-filter.ts";
import type { QuotaExceeded, Quotas } from "../../domain/quotas.ts";
import type { Notice, WatchedCall } from "./call-store.ts";
import type { HookView, WatchView } from "./read-store.ts";
import type { SendJob } from "./send-job.ts";

export type SecretDraft = { readonly id: string; readonly sealed: Uint8Array; readonly fingerprints: readonly string[] };

/** Endpoint of a registration. If the account has an endpoint for the URL, its settings must match these; otherwise it is created. */
export type EndpointDraft = {
  readonly id: string;
  readonly url: string;
  readonly origin: string;
  /** `null` if left out. */
  readonly format: PayloadFormat | null;
  readonly defaultFormat: PayloadFormat;
  readonly late: LatePolicy;
  readonly headers: { readonly names: readonly string[]; readonly sealed: Uint8Array; readonly fingerprints: readonly string[] } | null;
  /** Secret chosen by the client; if `null`, a new endpoint gets the account's default, or else `generatedSecret`. */
  readonly givenSecret: SecretDraft | null;
  readonly generatedSecret: SecretDraft;
};

export type WatchDraft = {
  readonly id: string;
  readonly accountId: string;
  readonly sourceName: string;
  /** See `WatchedCall.scope`. */
  readonly scope: string;
  readonly callSid: string;
  /** Id of the call if it is new. */
  readonly callId: string;
  readonly endpoint: EndpointDraft | null;
  readonly filter: EventFilter;
  readonly metadata: Readonly<Record<string, string>>;
  readonly expiresAtMs: number;
  readonly nowMs: number;
  /** Time of the last parsed 200 of this call in the poller's memory; `null` if there is none. */
  readonly polledAtMs: number | null;
  /** Whether a new watch restarts an ended call (sandbox) instead of being notified of its end. */
  readonly restartsEndedCall: boolean;
  readonly quotas: Quotas;
};

export type EndpointConflict = {
  readonly kind: "endpoint_differs";
  readonly endpointId: string;
  readonly fields: readonly ("format" | "headers" | "signing_secret")[];
};

export type RegisterWatchResult =
  | {
      readonly kind: "created";
      readonly view: WatchView;
      /** Whether the endpoint was created with `generatedSecret`. The secret is shown only in this answer. */
      readonly showsGeneratedSecret: boolean;
      /** The call to poll; `null` if it has ended (the watch is `completed`). */
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

/** Registrations. Each method is one transaction; resolved means committed. */
export interface RegistrationStore {
  /** Commits all accepted drafts together; each draft has a result of its own, in order. */
  registerWatches(drafts: readonly WatchDraft[]): Promise<readonly RegisterWatchResult[]>;
  registerHook(draft: HookDraft): Promise<RegisterHookResult>;
  /** Cancels an active watch and its pending deliveries; ended watches stay as they are. `purge` erases the watch and its events. */
  removeWatch(request: {
    readonly accountId: string;
    readonly watchId: string;
    readonly purge: boolean;
    readonly nowMs: number;
  }): Promise<RemoveWatchResult>;
  /**
   * Removes a hook and cancels deliveries that are pending for it alone; `endpointId` is `null` if the id is unknown.
   * `canceledLeased` are the canceled deliveries that are leased; their attempts must not start.
   */
  removeHook(request: { readonly accountId: string; readonly hookId: string; readonly nowMs: number }): Promise<RemovedHook>;
}
