import type { Clock } from "../../ports/clock.ts";
import type { DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { InstanceStore } from "../../ports/stores/instance-store.ts";
import type { Logger } from "../../ports/telemetry.ts";
import type { Dispatcher } from "../delivery/dispatcher.ts";
import type { Poller } from "../polling/poller.ts";

export type OrphanRescuerOptions = {
  readonly store: Pick<InstanceStore, "listLeases" | "listOwnedCallIds" | "loadOwnedCalls">;
  readonly releaseDeliveries: DeliveryStore["releaseDeliveries"];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly poller: Pick<Poller, "assignment">;
  readonly dispatcher: Pick<Dispatcher, "leaseTokens">;
};

/** Time after an error by which all store operations under way have ended. Longer than the deadline of any operation. */
const operationsEndAfterMs = 12_000;

/** Interval of the comparison of calls without trouble. An instance may have lost a call without an error of the store. */
const compareEveryMs = 60_000;

/** Trouble of the store, from its last error to the last look. */
type Trouble = {
  readonly errorAtMonotonicMs: number;
  lookAtMonotonicMs: number;
  /** Whether all operations that were under way at the error had ended before the last look. */
  haveOperationsEnded: boolean;
  /** Leases of the last look that were not in memory; `null` before the first look. */
  unknownLeases: ReadonlySet<number> | null;
};

/**
 * Rescues calls and deliveries that the store assigned to this instance in a commit whose answer was lost: no other
 * instance takes them while this one lives. After an error of the store it compares the owned calls with those in memory, both
 * ways, and releases leases that the process does not hold. The calls are compared once a minute as well.
 *
 * The commit may take place after the first look, so a second look follows when all operations under way at the error have
 * ended. A lease is released if two looks found it, because the answer to a claim may be on its way at one of them. A third
 * look therefore follows if the second found leases that the first did not.
 */
export class OrphanRescuer {
  readonly #options: OrphanRescuerOptions;
  #trouble: Trouble | null = null;
  #comparedAtMonotonicMs: number;

  constructor(options: OrphanRescuerOptions) {
    this.#options = options;
    this.#comparedAtMonotonicMs = options.clock.monotonicMs();
  }

  /** Called when the store did not answer an operation. The operation may have been committed. */
  onStoreError(): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#trouble = { errorAtMonotonicMs: nowMs, lookAtMonotonicMs: nowMs, haveOperationsEnded: false, unknownLeases: null };
  }

  /** Called after heartbeats: looks if a look is due. Rejects with the errors of the store; the next check repeats the look. */
  async check(): Promise<void> {
    const trouble = this.#trouble;
    const startedMs = this.#options.clock.monotonicMs();
    if (trouble === null || startedMs < trouble.lookAtMonotonicMs) {
      if (startedMs - this.#comparedAtMonotonicMs >= compareEveryMs) await this.#compareCalls();
      return;
    }
    const unknown = await this.#look(trouble.unknownLeases);
    // A new error meanwhile begins a new trouble, which is left to the next check.
    if (this.#trouble !== trouble) return;
    const { errorAtMonotonicMs, haveOperationsEnded: hadOperationsEnded, unknownLeases } = trouble;
    const isAnyNew = [...unknown].some((leaseToken) => unknownLeases?.has(leaseToken) !== true);
    trouble.haveOperationsEnded = startedMs - errorAtMonotonicMs >= operationsEndAfterMs;
    trouble.unknownLeases = unknown;
    if (hadOperationsEnded || (trouble.haveOperationsEnded && !isAnyNew)) this.#trouble = null;
    else trouble.lookAtMonotonicMs = (trouble.haveOperationsEnded ? startedMs : errorAtMonotonicMs) + operationsEndAfterMs;
  }

  /** Compares the calls, and releases unknown leases of the look before. Returns the unknown leases. */
  async #look(before: ReadonlySet<number> | null): Promise<ReadonlySet<number>> {
    const { clock, logger, store, releaseDeliveries, dispatcher } = this.#options;
    await this.#compareCalls();
    const leases = await store.listLeases();
    const held = dispatcher.leaseTokens();
    const unknown = leases.filter(({ leaseToken }) => !held.has(leaseToken));
    const orphans = unknown.filter(({ leaseToken }) => before?.has(leaseToken) === true);
    if (orphans.length > 0) await releaseDeliveries(orphans, clock.nowMs());
    if (orphans.length > 0) logger.warn({ deliveries: orphans.length }, "instance.orphans_released");
    return new Set(unknown.map(({ leaseToken }) => leaseToken));
  }

  async #compareCalls(): Promise<void> {
    const { clock, logger, store, poller } = this.#options;
    this.#comparedAtMonotonicMs = clock.monotonicMs();
    const { adopted, dropped } = await poller.assignment.compare(store);
    if (adopted + dropped > 0) logger.warn({ adopted, dropped }, "instance.calls_compared");
  }
}
