import type { Actor } from "../../domain/audit.ts";
import type { LatePolicy, SignatureScheme } from "../../domain/deliveries/endpoint.ts";
import type { EndpointFormat } from "../../domain/webhooks/webhook-content.ts";
import type { EndpointView } from "./read-store.ts";
import type { SecretDraft } from "./registration-store.ts";

/** Changes of a PATCH; fields that are left out stay. */
export type EndpointPatch = {
  readonly format?: EndpointFormat;
  /** Stored text of the template. It is written with `format`; left out, the endpoint has none. */
  readonly request?: string;
  /** Replaces all custom headers; `null` removes them. */
  readonly headers?: { readonly names: readonly string[]; readonly sealed: Uint8Array; readonly fingerprints: readonly string[] } | null;
  readonly maxInFlight?: number;
  readonly maxPerSecond?: number | null;
  readonly signatures?: readonly SignatureScheme[];
  readonly late?: LatePolicy;
  readonly state?: "enabled" | "paused" | "disabled";
};

/** Endpoints, for changes by their account. Resolved means committed. */
export interface EndpointStore {
  /** Changes an endpoint; `null` if it is unknown. Enabling makes pending deliveries due and resets the failures. */
  patchEndpoint(request: {
    readonly accountId: string;
    readonly endpointId: string;
    readonly patch: EndpointPatch;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<EndpointView | null>;
  /**
   * Makes a secret the current one; the one before signs until `previousValidUntilMs`. The current secret again changes nothing
   * but shortens how long the previous one signs. False if the endpoint is unknown.
   */
  rotateSecret(request: {
    readonly accountId: string;
    readonly endpointId: string;
    readonly secret: SecretDraft;
    readonly previousValidUntilMs: number;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<boolean>;
}
