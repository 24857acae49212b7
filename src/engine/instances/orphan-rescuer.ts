import type { Clock } from "../../ports/clock.ts";
import type { DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { InstanceStore } from "../../ports/stores/instance-store.ts";
import type { Logger } from "../../ports/telemetry.ts";
import type { Dispatcher } from "../delivery/dispatcher.ts";
import type { Poller } from "../polling/poller.ts";

export type OrphanRescuerOptions = {
  readonly store: Pick<InstanceStore, "listLeases">;
  readonly releaseDeliveries: DeliveryStore["releaseDeliveries"];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly poller: Pick<Poller, "assignment">;
  readonly dispatcher: Pick<Dispatcher, "leaseTokens">;
};

/** Time after an error by which all store operations under way have ended. Longer than the deadline of any operation. */
const operationsEndAfterMs = 12_000;

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
 * instance takes them while this one lives. After an error of the store it adopts owned calls that are not in memory, and
 * releases leases that the process does not hold.
 *
 * The commit may take place after the first look, so a second look follows when all operations under way at the error have
 * ended. A lease is released if two looks found it, because the answer to a claim may be on its way at one of them. A third
 * look therefore follows if the second found leases that the first did not.
 */
export class OrphanRescuer {
  readonly #options: OrphanRescuerOptions;
  #trouble: Trouble | null = null;

  constructor(options: OrphanRescuerOptions) {
    this.#options = options;
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
    if (trouble === null || startedMs < trouble.lookAtMonotonicMs) return;
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

  /** Adopts calls that are not in memory, and releases unknown leases of the look before. Returns the unknown leases. */
  async #look(before: ReadonlySet<number> | null): Promise<ReadonlySet<number>> {
    const { clock, logger, store, releaseDeliveries, poller, dispatcher } = this.#options;
    const calls = await poller.assignment.adoptMissing();
    const leases = await store.listLeases();
    const held = dispatcher.leaseTokens();
    const unknown = leases.filter(({ leaseToken }) => !held.has(leaseToken));
    const orphans = unknown.filter(({ leaseToken }) => before?.has(leaseToken) === true);
    if (orphans.length > 0) await releaseDeliveries(orphans, clock.nowMs());
    if (calls + orphans.length > 0) logger.warn({ calls, deliveries: orphans.length }, "instance.orphans_taken_up");
    return new Set(unknown.map(({ leaseToken }) => leaseToken));
  }
}
