import type { LatePolicy, SignatureScheme } from "../../domain/deliveries/endpoint.ts";
import type { PayloadFormat } from "../../domain/events/payload.ts";
import type { EndpointView } from "./read-store.ts";
import type { SecretDraft } from "./registration-store.ts";

/** Changes of a PATCH; fields that are left out stay. */
export type EndpointPatch = {
  readonly format?: PayloadFormat;
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
    readonly nowMs: number;
  }): Promise<EndpointView | null>;
  /** Adds a signing secret; earlier ones sign until `previousValidUntilMs`. False if the endpoint is unknown. */
  rotateSecret(request: {
    readonly accountId: string;
    readonly endpointId: string;
    readonly secret: SecretDraft;
    readonly previousValidUntilMs: number;
    readonly nowMs: number;
  }): Promise<boolean>;
}
