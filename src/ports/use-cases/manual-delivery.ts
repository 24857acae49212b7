import type { Attempt } from "../../domain/deliveries/attempt.ts";
import type { Account } from "../stores/account-store.ts";
import type { DeliveryView } from "../stores/read-store.ts";
import type { Claim, IdempotencyKeyInUse } from "./idempotency.ts";

type RecoverRefusal = { readonly kind: "unknown" } | { readonly kind: "endpoint_disabled" };

type SendRefusal = RecoverRefusal | { readonly kind: "rate_limited"; readonly retryAfterMs: number };

export type RetryOutcome =
  | { readonly kind: "accepted"; readonly view: DeliveryView }
  | SendRefusal
  | { readonly kind: "watch_deleted" }
  | { readonly kind: "in_flight" };

export type TestOutcome =
  | { readonly kind: "attempted"; readonly attempt: Attempt }
  | SendRefusal
  /** Accepted, but the service stopped or lost the delivery before the attempt was recorded. */
  | { readonly kind: "interrupted" };

export type RecoverOutcome = { readonly kind: "recovered"; readonly count: number } | RecoverRefusal;

export type ManualRefusal = Exclude<RetryOutcome | TestOutcome | RecoverOutcome, { kind: "accepted" | "attempted" | "recovered" }>;

/** Deliveries by hand. */
export interface ManualDelivery {
  /** Resolves when the attempt is accepted (leased), not when it is over. */
  retry(account: Account, deliveryId: string, claim: Claim<RetryOutcome> | null): Promise<RetryOutcome | IdempotencyKeyInUse>;
  /**
   * Resolves with the recorded attempt. A key covers the acceptance: the same key again sends no second test, and makes
   * the attempt of the first one if a crash came before it was recorded.
   */
  test(account: Account, endpointId: string, claim: Claim<TestOutcome> | null): Promise<TestOutcome | IdempotencyKeyInUse>;
  recover(
    account: Account,
    endpointId: string,
    span: { readonly sinceMs: number; readonly untilMs: number },
    claim: Claim<RecoverOutcome> | null,
  ): Promise<RecoverOutcome | IdempotencyKeyInUse>;
}
