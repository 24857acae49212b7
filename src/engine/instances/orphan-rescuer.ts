import type { Clock } from "../../ports/clock.ts";
import type { DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { InstanceStore } from "../../ports/stores/instance-store.ts";
import type { Logger } from "../../ports/telemetry.ts";

export type OrphanRescuerOptions = {
  readonly store: Pick<InstanceStore, "listLeases">;
  readonly releaseDeliveries: DeliveryStore["releaseDeliveries"];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Takes up owned calls that are not in memory; resolves with how many. */
  readonly adoptMissing: () => Promise<number>;
  readonly activeLeases: () => ReadonlySet<number>;
};

/** Longer than any question to the store is waited for: what was under way by then has been answered or given up. */
const settledAfterMs = 12_000;

/**
 * A commit whose answer was lost may have given this instance calls and deliveries that it does not know of, and that
 * nobody else takes while it lives. After such trouble the store is asked what it has of us: missing calls are taken up,
 * leases that nobody here holds are given back.
 */
export class OrphanRescuer {
  readonly #options: OrphanRescuerOptions;
  /** null: there was no trouble since the last look. */
  #troubledAtMonotonicMs: number | null = null;
  #unknownLeases: ReadonlySet<number> | null = null;

  constructor(options: OrphanRescuerOptions) {
    this.#options = options;
  }

  /** The store did not answer: what it was asked may have been done. */
  onStoreError(): void {
    this.#troubledAtMonotonicMs = this.#options.clock.monotonicMs();
    this.#unknownLeases = null;
  }

  /** After a heartbeat: looks once at once, and once when everything that was under way is settled. */
  async look(): Promise<void> {
    const { clock, logger, releaseDeliveries, adoptMissing } = this.#options;
    const troubledAtMs = this.#troubledAtMonotonicMs;
    if (troubledAtMs === null) return;
    const isSettled = clock.monotonicMs() - troubledAtMs >= settledAfterMs;
    if (this.#unknownLeases !== null && !isSettled) return;
    const calls = await adoptMissing();
    const unknown = await this.#listUnknown();
    const orphans = unknown.filter(({ leaseToken }) => this.#unknownLeases?.has(leaseToken) === true);
    this.#unknownLeases = new Set(unknown.map(({ leaseToken }) => leaseToken));
    if (orphans.length > 0) await releaseDeliveries(orphans, clock.nowMs());
    if (calls + orphans.length > 0) logger.warn({ calls, deliveries: orphans.length }, "instance.orphans_taken_up");
    // Trouble in the meantime is another look's.
    if (isSettled && this.#troubledAtMonotonicMs === troubledAtMs) this.#troubledAtMonotonicMs = null;
  }

  async #listUnknown() {
    const leases = await this.#options.store.listLeases();
    const held = this.#options.activeLeases();
    return leases.filter(({ leaseToken }) => !held.has(leaseToken));
  }
}
