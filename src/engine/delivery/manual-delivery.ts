import type { Actor } from "../../domain/audit.ts";
import { LRUCache } from "lru-cache";
import type { Attempt } from "../../domain/deliveries/attempt.ts";
import type { Endpoint } from "../../domain/deliveries/endpoint.ts";
import type { Account } from "../../ports/stores/account-store.ts";
import type { KeyedRequest, IdempotencyKeyInUse } from "../../ports/use-cases/idempotency.ts";
import type { ManualDelivery, ManualRefusal, RecoverOutcome, RetryOutcome, TestOutcome } from "../../ports/use-cases/manual-delivery.ts";
import type { Clock } from "../../ports/clock.ts";
import type { CommitListener } from "../../ports/commit-listener.ts";
import type { DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { ReadStore } from "../../ports/stores/read-store.ts";
import type { Idempotency, Step } from "../requests/idempotency.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { ManualBudget } from "./manual-budget.ts";

export type ManualSenderOptions = {
  readonly store: Pick<DeliveryStore, "claimManualRetry"> & Pick<ReadStore, "getDelivery" | "getEndpoint">;
  readonly idempotency: Pick<Idempotency, "run" | "accept" | "complete">;
  readonly clock: Clock;
  readonly dispatcher: Pick<Dispatcher, "sendNow" | "releaseBuffered" | "wake">;
  readonly budget: ManualBudget;
  /** Listeners of test events. */
  readonly listeners: readonly CommitListener[];
};

const minSpacingMs = 1000;
const overBudget = { kind: "over_budget", retryAfterMs: 1000 } as const;
/** Given as a size, because a cache with a number of entries allocates all of them when it is made. */
const rememberedEndpoints = 10_000;

/**
 * Tests, retries and recoveries on request; at most one test or retry per second and endpoint, and as many under way as the
 * budget allows.
 */
export class ManualSender implements ManualDelivery {
  readonly #options: ManualSenderOptions;
  readonly #lastAtMonotonicMs = new LRUCache<string, number>({ maxSize: rememberedEndpoints, sizeCalculation: () => 1 });

  constructor(options: ManualSenderOptions) {
    this.#options = options;
  }

  async retry(
    account: Account,
    deliveryId: string,
    keyed: KeyedRequest<RetryOutcome> | null,
    by: Actor,
  ): Promise<RetryOutcome | IdempotencyKeyInUse> {
    const { store, idempotency, clock, dispatcher, budget } = this.#options;
    const found = await store.getDelivery(account.id, deliveryId);
    if (found === null) return { kind: "unknown" };
    const { endpoint } = found.view;
    const place = budget.acquire(account.id);
    if (place === null) return overBudget;
    using places = new DisposableStack();
    places.use(place);
    const limited = this.#limit(endpoint);
    if (limited !== null) return limited;
    // A delivery that waits in the buffer is not in flight, so its lease can be released.
    if (found.view.leased) await dispatcher.releaseBuffered(deliveryId);
    const request = { accountId: account.id, deliveryId, by, nowMs: clock.nowMs() };
    const run = await idempotency.run(
      keyed,
      (store) => store.claimManualRetry,
      request,
      (result): RetryOutcome => (result.kind === "claimed" ? { kind: "accepted", view: result.view } : { kind: result.kind }),
      (result) => (result.kind === "claimed" && result.view.delivery.watchId !== null ? [result.view.delivery.watchId] : []),
    );
    if (run.kind === "key_taken") return run;
    if (run.result.kind === "claimed") {
      const untilEnd = places.move();
      void dispatcher.sendNow(run.result.job).finally(() => untilEnd.dispose());
    } else this.#lastAtMonotonicMs.delete(endpoint.id);
    return run.outcome;
  }

  async test(account: Account, endpointId: string, keyed: KeyedRequest<TestOutcome> | null): Promise<TestOutcome | IdempotencyKeyInUse> {
    const { store, idempotency, clock, dispatcher, budget } = this.#options;
    const view = await store.getEndpoint(account.id, endpointId);
    if (view === null) return { kind: "unknown" };
    using place = budget.acquire(account.id);
    if (place === null) return overBudget;
    const limited = this.#limit(view.endpoint);
    if (limited !== null) return limited;
    const request = { accountId: account.id, endpointId, nowMs: clock.nowMs() };
    const accepted = await idempotency.accept(
      keyed,
      (store) => store.createTest,
      request,
      (result): Step<TestOutcome> =>
        result.kind === "claimed"
          ? { kind: "accepted", deliveryId: result.job.deliveryId }
          : { kind: "answered", outcome: { kind: result.kind } },
    );
    let outcome: TestOutcome | IdempotencyKeyInUse;
    switch (accepted.kind) {
      case "key_taken":
        return accepted;
      case "accepted_before":
        outcome = await this.#resumeTest(account, endpointId, accepted.deliveryId);
        break;
      case "ran":
        if (accepted.result.kind !== "claimed") return { kind: accepted.result.kind };
        this.#announce(account, accepted.result.job.event.type);
        outcome = await this.#testOutcome(account, endpointId, await dispatcher.sendNow(accepted.result.job));
    }
    if (keyed !== null && outcome.kind !== "key_taken") await idempotency.complete(keyed, outcome);
    return outcome;
  }

  async recover(
    account: Account,
    endpointId: string,
    span: { readonly sinceMs: number; readonly untilMs: number },
    keyed: KeyedRequest<RecoverOutcome> | null,
    by: Actor,
  ): Promise<RecoverOutcome | IdempotencyKeyInUse> {
    const { idempotency, clock, dispatcher } = this.#options;
    const request = { accountId: account.id, endpointId, by, nowMs: clock.nowMs(), ...span };
    const run = await idempotency.run(
      keyed,
      (store) => store.recover,
      request,
      (result): RecoverOutcome => result,
    );
    if (run.kind === "key_taken") return run;
    if (run.outcome.kind === "recovered") dispatcher.wake();
    return run.outcome;
  }

  /** Completes a test that an earlier request with the same key accepted: returns its attempt, or makes it under the same id. */
  async #resumeTest(account: Account, endpointId: string, deliveryId: string): Promise<TestOutcome | IdempotencyKeyInUse> {
    const { store, clock, dispatcher } = this.#options;
    const found = await store.getDelivery(account.id, deliveryId);
    const [recorded] = found?.attempts ?? [];
    if (recorded !== undefined) return { kind: "attempted", attempt: recorded };
    const claimed = await store.claimManualRetry({ accountId: account.id, deliveryId, by: null, nowMs: clock.nowMs() });
    switch (claimed.kind) {
      case "claimed":
        return this.#testOutcome(account, endpointId, await dispatcher.sendNow(claimed.job));
      case "in_flight":
        return { kind: "key_taken", by: "running" };
      case "endpoint_disabled":
        return { kind: "endpoint_disabled" };
      case "unknown":
      case "watch_deleted":
        return { kind: "interrupted" };
    }
  }

  /** Wakes requests that wait for events of the account; the dispatcher has the job already. */
  #announce({ id: accountId }: Account, eventType: string): void {
    const notices = [{ accountId, watchId: null, callSid: null, sequence: null, eventType }];
    for (const listener of this.#options.listeners) listener.committed({ jobs: [], notices });
  }

  /** Returns the outcome of a test. `attempt` is `null` if the endpoint was disabled meanwhile or the service is stopping. */
  async #testOutcome(account: Account, endpointId: string, attempt: Attempt | null): Promise<TestOutcome> {
    if (attempt !== null) return { kind: "attempted", attempt };
    const view = await this.#options.store.getEndpoint(account.id, endpointId);
    return { kind: view?.endpoint.state === "disabled" ? "endpoint_disabled" : "interrupted" };
  }

  /**
   * Returns a refusal if the last attempt was too recent, else `null`. A disabled endpoint has no limit here, because it is
   * refused elsewhere.
   */
  #limit({ id: endpointId, state }: Pick<Endpoint, "id" | "state">): Extract<ManualRefusal, { kind: "rate_limited" }> | null {
    if (state === "disabled") return null;
    const nowMs = this.#options.clock.monotonicMs();
    const lastMs = this.#lastAtMonotonicMs.get(endpointId);
    if (lastMs !== undefined && nowMs - lastMs < minSpacingMs)
      return { kind: "rate_limited", retryAfterMs: Math.ceil(minSpacingMs - (nowMs - lastMs)) };
    this.#lastAtMonotonicMs.set(endpointId, nowMs);
    return null;
  }
}
