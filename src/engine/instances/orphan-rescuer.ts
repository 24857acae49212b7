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

/**
 * Rescues calls and deliveries that the store assigned to this instance in a commit whose answer was lost: no other
 * instance takes them while this one lives. After an error of the store it adopts owned calls that are not in memory, and
 * releases leases that the process does not hold.
 */
export class OrphanRescuer {
  readonly #options: OrphanRescuerOptions;
  /** Time of the last error of the store; `null` if none is to be checked. */
  #errorAtMonotonicMs: number | null = null;
  #unknownLeases: ReadonlySet<number> | null = null;

  constructor(options: OrphanRescuerOptions) {
    this.#options = options;
  }

  /** Called when the store did not answer an operation. The operation may have been committed. */
  onStoreError(): void {
    this.#errorAtMonotonicMs = this.#options.clock.monotonicMs();
    this.#unknownLeases = null;
  }

  /** Called after heartbeats: checks once immediately, and once when all operations under way at the error have ended. */
  async check(): Promise<void> {
    const { clock, logger, releaseDeliveries, poller } = this.#options;
    const errorAtMs = this.#errorAtMonotonicMs;
    if (errorAtMs === null) return;
    const haveOperationsEnded = clock.monotonicMs() - errorAtMs >= operationsEndAfterMs;
    if (this.#unknownLeases !== null && !haveOperationsEnded) return;
    const calls = await poller.assignment.adoptMissing();
    const unknown = await this.#listUnknown();
    const orphans = unknown.filter(({ leaseToken }) => this.#unknownLeases?.has(leaseToken) === true);
    this.#unknownLeases = new Set(unknown.map(({ leaseToken }) => leaseToken));
    if (orphans.length > 0) await releaseDeliveries(orphans, clock.nowMs());
    if (calls + orphans.length > 0) logger.warn({ calls, deliveries: orphans.length }, "instance.orphans_taken_up");
    // A new error meanwhile is left to the next check.
    if (haveOperationsEnded && this.#errorAtMonotonicMs === errorAtMs) this.#errorAtMonotonicMs = null;
  }

  async #listUnknown() {
    const leases = await this.#options.store.listLeases();
    const held = this.#options.dispatcher.leaseTokens();
    return leases.filter(({ leaseToken }) => !held.has(leaseToken));
  }
}
