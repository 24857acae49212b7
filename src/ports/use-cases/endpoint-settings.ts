import type { LatePolicy, PayloadFormat, SignatureScheme } from "../../domain/deliveries/endpoint.ts";
import type { Account } from "../stores/account-store.ts";
import type { EndpointView } from "../stores/read-store.ts";
import type { Claim, IdempotencyKeyInUse } from "./idempotency.ts";

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
