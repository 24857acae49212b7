import type { Actor } from "../../domain/audit.ts";
import type { Attempt } from "../../domain/deliveries/attempt.ts";
import type { Account } from "../stores/account-store.ts";
import type { DeliveryView } from "../stores/read-store.ts";
import type { KeyedRequest, IdempotencyKeyInUse } from "./idempotency.ts";

type RecoverRefusal = { readonly kind: "unknown" } | { readonly kind: "endpoint_disabled" };

type SendRefusal =
  | RecoverRefusal
  | { readonly kind: "rate_limited"; readonly retryAfterMs: number }
  /** The account, or all accounts together, have the maximum number of manual attempts under way. */
  | { readonly kind: "over_budget"; readonly retryAfterMs: number };

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

/** Counts are `null` if there are more than are counted; see `RecoverResult`. */
export type RecoverOutcome =
  | { readonly kind: "recovered"; readonly recovered: number | null; readonly hurried: number | null; readonly more: boolean }
  | RecoverRefusal;

export type ManualRefusal = Exclude<RetryOutcome | TestOutcome | RecoverOutcome, { kind: "accepted" | "attempted" | "recovered" }>;

/** Attempts outside of the schedule, on request. */
export interface ManualDelivery {
  /** Retries a delivery now. Resolves when the attempt is accepted (leased), not at its end. */
  retry(
    account: Account,
    deliveryId: string,
    keyed: KeyedRequest<RetryOutcome> | null,
    by: Actor,
  ): Promise<RetryOutcome | IdempotencyKeyInUse>;
  /**
   * Sends a test event and resolves with the recorded attempt. A key covers the acceptance: a repeat sends no second test,
   * but makes the attempt of the first test if a crash prevented the record of its attempt.
   */
  test(account: Account, endpointId: string, keyed: KeyedRequest<TestOutcome> | null): Promise<TestOutcome | IdempotencyKeyInUse>;
  /** Makes the failed deliveries of events from `sinceMs` to `untilMs` (epoch milliseconds) pending again. */
  recover(
    account: Account,
    endpointId: string,
    span: { readonly sinceMs: number; readonly untilMs: number },
    keyed: KeyedRequest<RecoverOutcome> | null,
    by: Actor,
  ): Promise<RecoverOutcome | IdempotencyKeyInUse>;
}
