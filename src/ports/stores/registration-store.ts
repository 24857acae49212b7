import type { Actor } from "../../domain/audit.ts";
import type { LatePolicy } from "../../domain/deliveries/endpoint.ts";
import type { EndpointFormat } from "../../domain/webhooks/webhook-content.ts";
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
  readonly format: EndpointFormat | null;
  /** Stored text of the template; `null` unless the format is `template`. */
  readonly request: string | null;
  readonly defaultFormat: EndpointFormat;
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
  /** Whether the watch is refused if the account has no hook. */
  readonly needsHook: boolean;
  readonly filter: EventFilter;
  readonly metadata: Readonly<Record<string, string>>;
  readonly trace: string | null;
  readonly expiresAtMs: number;
  readonly nowMs: number;
  /** Time of the last parsed 200 of this call in the poller's memory; `null` if there is none. */
  readonly polledAtMs: number | null;
  /** Whether a new watch restarts an ended call (sandbox) instead of being notified of its end. */
  readonly restartsEndedCall: boolean;
  readonly quotas: Quotas;
  /** Requester, for the row of a disabled endpoint that the watch enables. */
  readonly by: Actor | null;
  /** The placing that this watch settles; `null` for a registration. Quotas and an endpoint that differs do not refuse such a watch. */
  readonly placing: SettledPlacing | null;
};

/** A placing, and the state that it must be in to be settled. */
export type SettledPlacing = {
  readonly id: string;
  readonly from: "sending" | "unknown";
  readonly by: Actor | null;
  /** Last digits of the number that was called; `null` if they are not known. */
  readonly lastDigits: string | null;
};

export type EndpointConflict = {
  readonly kind: "endpoint_differs";
  readonly endpointId: string;
  readonly fields: readonly ("format" | "request" | "headers" | "signing_secret")[];
};

export type RegisterWatchResult =
  | {
      readonly kind: "created";
      readonly view: WatchView;
      /** Whether the endpoint was created with `generatedSecret`. The secret is shown only in this answer. */
      readonly showsGeneratedSecret: boolean;
      /** Whether it enabled a disabled endpoint, which may have set a mark. */
      readonly enabledEndpoint: boolean;
      /** The call to poll; `null` if it has ended (the watch is `completed`). */
      readonly call: WatchedCall | null;
      readonly notices: readonly Notice[];
      readonly jobs: readonly SendJob[];
    }
  | { readonly kind: "existing"; readonly view: WatchView }
  | { readonly kind: "watch_differs"; readonly watchId: string; readonly fields: readonly ("events" | "metadata")[] }
  | EndpointConflict
  | QuotaExceeded
  /** The watch needs a hook, and the account has none. */
  | { readonly kind: "callback_required" }
  /** The placing is in another state: it became unknown, or another request has settled it. */
  | { readonly kind: "placing_settled" };

export type HookDraft = {
  readonly id: string;
  readonly accountId: string;
  readonly endpoint: EndpointDraft;
  readonly filter: EventFilter;
  readonly by: Actor | null;
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

/** Changed fields of a watch; the others stay. */
export type WatchPatch = Partial<Pick<WatchDraft, "filter" | "metadata" | "expiresAtMs">>;

export type PatchWatchResult =
  /** `call` is the call to poll; `null` if another instance polls it. */
  | { readonly kind: "patched"; readonly view: WatchView; readonly callId: string; readonly call: WatchedCall | null }
  | { readonly kind: "unknown" }
  | { readonly kind: "ended" };

export type RemovedHook = { readonly endpointId: string | null; readonly canceledLeased: readonly string[] };

/** Registrations. Each method is one transaction; resolved means committed. */
export interface RegistrationStore {
  /** Commits all accepted drafts together; each draft has a result of its own, in order. */
  registerWatches(drafts: readonly WatchDraft[]): Promise<readonly RegisterWatchResult[]>;
  /** Commits a hook, or returns the existing one with the same URL and filter. A refused draft writes nothing. */
  registerHook(draft: HookDraft): Promise<RegisterHookResult>;
  /** Cancels an active watch and its pending deliveries; ended watches stay as they are. `purge` erases the watch, its events and the stored answers that show it. */
  removeWatch(request: {
    readonly accountId: string;
    readonly watchId: string;
    readonly purge: boolean;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<RemoveWatchResult>;
  /** Changes an active watch, for the events that are written afterwards. */
  patchWatch(request: { readonly accountId: string; readonly watchId: string; readonly patch: WatchPatch }): Promise<PatchWatchResult>;
  /**
   * Removes a hook and cancels deliveries that are pending for it alone; `endpointId` is `null` if the id is unknown.
   * `canceledLeased` are the canceled deliveries that are leased; their attempts must not start.
   */
  removeHook(request: {
    readonly accountId: string;
    readonly hookId: string;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<RemovedHook>;
}
