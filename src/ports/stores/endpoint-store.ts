import type { LatePolicy, PayloadFormat, SignatureScheme } from "../../domain/deliveries/endpoint.ts";
import type { EndpointView } from "./read-store.ts";
import type { SecretDraft } from "./registration-store.ts";

/** What a PATCH changes; left out stays. */
export type EndpointPatch = {
  readonly format?: PayloadFormat;
  /** Replaces all of them; null removes them. */
  readonly headers?: { readonly names: readonly string[]; readonly sealed: Uint8Array; readonly fingerprints: readonly string[] } | null;
  readonly maxInFlight?: number;
  readonly maxPerSecond?: number | null;
  readonly signatures?: readonly SignatureScheme[];
  readonly late?: LatePolicy;
  readonly state?: "enabled" | "paused" | "disabled";
};

export interface EndpointStore {
  /** null for an unknown one. Enabling makes what is owed due again and forgets the failures. */
  patchEndpoint(request: {
    readonly accountId: string;
    readonly endpointId: string;
    readonly patch: EndpointPatch;
    readonly nowMs: number;
  }): Promise<EndpointView | null>;
  /** The new secret signs from now on, the ones before it until `previousValidUntilMs`. False for an unknown endpoint. */
  rotateSecret(request: {
    readonly accountId: string;
    readonly endpointId: string;
    readonly secret: SecretDraft;
    readonly previousValidUntilMs: number;
    readonly nowMs: number;
  }): Promise<boolean>;
}
