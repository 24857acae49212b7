import type { Attempt } from "../domain/attempt.ts";
import type { Account } from "../ports/account-store.ts";
import type { ManualDelivery as ManualDeliveryPort, ManualRefusal } from "../ports/bridge.ts";
import type { Clock } from "../ports/clock.ts";
import type { ClaimOneResult, DeliveryStore } from "../ports/delivery-store.ts";
import type { DeliveryView, ReadStore } from "../ports/read-store.ts";
import type { SendJob } from "../ports/send-job.ts";

export type ManualDeliveryOptions = {
  readonly store: Pick<DeliveryStore, "claimOne" | "createTest" | "recover"> & Pick<ReadStore, "getDelivery" | "getEndpoint">;
  readonly clock: Clock;
  /** Resolves with the attempt as recorded. */
  readonly sendNow: (job: SendJob) => Promise<Attempt | null>;
  readonly wake: () => void;
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
    const { store, clock, sendNow } = this.#options;
    const found = await store.getDelivery(account.id, deliveryId);
    if (found === null) return { kind: "unknown" };
    const limited = this.#limit(found.view.delivery.endpointId);
    if (limited !== null) return limited;
    const claimed = await store.claimOne({ accountId: account.id, deliveryId, nowMs: clock.nowMs() });
    if (claimed.kind !== "claimed") return refusalOf(claimed);
    void sendNow(claimed.job);
    const accepted = await store.getDelivery(account.id, deliveryId);
    return accepted === null ? { kind: "unknown" } : { kind: "accepted", view: accepted.view };
  }

  async test(account: Account, endpointId: string): Promise<{ readonly kind: "attempted"; readonly attempt: Attempt } | ManualRefusal> {
    const { store, clock, sendNow } = this.#options;
    if ((await store.getEndpoint(account.id, endpointId)) === null) return { kind: "unknown" };
    const limited = this.#limit(endpointId);
    if (limited !== null) return limited;
    const claimed = await store.createTest({ accountId: account.id, endpointId, nowMs: clock.nowMs() });
    if (claimed.kind !== "claimed") return refusalOf(claimed);
    const attempt = await sendNow(claimed.job);
    return attempt === null ? { kind: "unknown" } : { kind: "attempted", attempt };
  }

  async recover(account: Account, endpointId: string, span: { readonly sinceMs: number; readonly untilMs: number }) {
    const { store, clock, wake } = this.#options;
    const result = await store.recover({ accountId: account.id, endpointId, nowMs: clock.nowMs(), ...span });
    if (result.kind === "recovered") wake();
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
