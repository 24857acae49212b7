import type { Actor } from "../../domain/audit.ts";
import type { Account } from "../stores/account-store.ts";
import type { EndpointPatch } from "../stores/endpoint-store.ts";
import type { EndpointView } from "../stores/read-store.ts";
import type { KeyedRequest, IdempotencyKeyInUse } from "./idempotency.ts";

/** Changes of a PATCH. `headers` replaces all custom headers; an empty object removes them. */
export type EndpointChange = Omit<EndpointPatch, "headers"> & { readonly headers?: Readonly<Record<string, string>> };

export type RotationOutcome =
  | { readonly kind: "rotated"; readonly signingSecret: string; readonly previousValidUntilMs: number }
  | { readonly kind: "unknown" };

export type DefaultSecretOutcome = { readonly kind: "set"; readonly signingSecret: string };

/** Changes to endpoints by their account. Rejects with `StoreUnavailableError` or `StoreOverloadedError`. */
export interface EndpointSettings {
  /** Changes the settings; `null` if the endpoint is unknown. Resolved means committed. */
  patch(account: Account, endpointId: string, change: EndpointChange, by: Actor): Promise<EndpointView | null>;
  /** Replaces the signing secret, with a generated one if `signingSecret` is `null`. The old one signs for `graceSeconds` more. */
  rotateSecret(
    account: Account,
    endpointId: string,
    request: { readonly graceSeconds: number; readonly signingSecret: string | null },
    keyed: KeyedRequest<RotationOutcome> | null,
    by: Actor,
  ): Promise<RotationOutcome | IdempotencyKeyInUse>;
  /** Sets the signing secret of endpoints that are created later without one, a generated one if `signingSecret` is `null`. */
  setDefaultSecret(
    account: Account,
    signingSecret: string | null,
    keyed: KeyedRequest<DefaultSecretOutcome> | null,
    by: Actor,
  ): Promise<DefaultSecretOutcome | IdempotencyKeyInUse>;
}
