import type { Attempt } from "../domain/attempt.ts";
import { StoreUnavailable } from "../domain/errors.ts";
import type { Account } from "../ports/account-store.ts";
import type { ManualDelivery as ManualDeliveryPort, ManualRefusal } from "../ports/bridge.ts";
import type { Notice } from "../ports/call-store.ts";
import type { Clock } from "../ports/clock.ts";
import type { ClaimOneResult, DeliveryStore } from "../ports/delivery-store.ts";
import type { DeliveryView, ReadStore } from "../ports/read-store.ts";
import type { SendJob } from "../ports/send-job.ts";

export type ManualDeliveryOptions = {
  readonly store: Pick<DeliveryStore, "claimOne" | "createTest" | "recover"> & Pick<ReadStore, "getDelivery" | "getEndpoint">;
  readonly clock: Clock;
  readonly dispatcher: {
    /** Resolves with the attempt as recorded; null: none was made. */
    sendNow(job: SendJob): Promise<Attempt | null>;
    /** The same for a delivery whose job waits in memory for room; false: none does. */
    sendHeldNow(deliveryId: string): boolean;
    wake(): void;
  };
  readonly notify: (notices: readonly Notice[]) => void;
};

const onePerMs = 1000;
const rememberedEndpoints = 10_000;

/** Tests, retries and recoveries asked for by people: one test or retry a second and endpoint. */
export class ManualDelivery implements ManualDeliveryPort {
  readonly #options: ManualDeliveryOptions;
  readonly #lastAtMonotonicMs = new Map<string, number>();

  constructor(options: ManualDeliveryOptions) {
    this.#options = options;
  }

  async retry(account: Account, deliveryId: string): Promise<{ readonly kind: "accepted"; readonly view: DeliveryView } | ManualRefusal> {
    const { store, clock, dispatcher } = this.#options;
    const found = await store.getDelivery(account.id, deliveryId);
    if (found === null) return { kind: "unknown" };
    const limited = this.#limit(found.view.delivery.endpointId);
    if (limited !== null) return limited;
    const claimed = await store.claimOne({ accountId: account.id, deliveryId, nowMs: clock.nowMs() });
    if (claimed.kind === "claimed") void dispatcher.sendNow(claimed.job);
    else if (claimed.kind !== "in_flight" || !dispatcher.sendHeldNow(deliveryId)) return refusalOf(claimed);
    const accepted = await store.getDelivery(account.id, deliveryId);
    return accepted === null ? { kind: "unknown" } : { kind: "accepted", view: accepted.view };
  }

  async test(account: Account, endpointId: string): Promise<{ readonly kind: "attempted"; readonly attempt: Attempt } | ManualRefusal> {
    const { store, clock, dispatcher } = this.#options;
    if ((await store.getEndpoint(account.id, endpointId)) === null) return { kind: "unknown" };
    const limited = this.#limit(endpointId);
    if (limited !== null) return limited;
    const claimed = await store.createTest({ accountId: account.id, endpointId, nowMs: clock.nowMs() });
    if (claimed.kind !== "claimed") return refusalOf(claimed);
    this.#options.notify([{ accountId: account.id, watchId: null, sequence: null, eventType: claimed.job.event.type }]);
    const attempt = await dispatcher.sendNow(claimed.job);
    if (attempt !== null) return { kind: "attempted", attempt };
    // It was disabled in this moment, or the service is stopping.
    const endpoint = await store.getEndpoint(account.id, endpointId);
    if (endpoint?.endpoint.state === "disabled") return { kind: "endpoint_disabled" };
    throw new StoreUnavailable("no attempt could be made");
  }

  async recover(account: Account, endpointId: string, span: { readonly sinceMs: number; readonly untilMs: number }) {
    const { store, clock, dispatcher } = this.#options;
    const result = await store.recover({ accountId: account.id, endpointId, nowMs: clock.nowMs(), ...span });
    if (result.kind === "recovered") dispatcher.wake();
    return result;
  }

  #limit(endpointId: string): ManualRefusal | null {
    const nowMs = this.#options.clock.monotonicMs();
    const lastMs = this.#lastAtMonotonicMs.get(endpointId);
    if (lastMs !== undefined && nowMs - lastMs < onePerMs)
      return { kind: "rate_limited", retryAfterMs: Math.ceil(onePerMs - (nowMs - lastMs)) };
    this.#lastAtMonotonicMs.delete(endpointId);
    const oldest = this.#lastAtMonotonicMs.size >= rememberedEndpoints ? this.#lastAtMonotonicMs.keys().next() : null;
    if (oldest !== null && oldest.done !== true) this.#lastAtMonotonicMs.delete(oldest.value);
    this.#lastAtMonotonicMs.set(endpointId, nowMs);
    return null;
  }
}

function refusalOf(result: Exclude<ClaimOneResult, { kind: "claimed" }>): ManualRefusal {
  return { kind: result.kind };
}
