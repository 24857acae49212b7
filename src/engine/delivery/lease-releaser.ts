import type { Clock } from "../../ports/clock.ts";
import type { DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";
import type { Logger } from "../../ports/telemetry.ts";

export type LeaseReleaserOptions = {
  readonly store: Pick<DeliveryStore, "releaseDeliveries">;
  readonly clock: Clock;
  readonly logger: Logger;
};

/** Whoever commits meanwhile waits for so many at most. */
const releaseBatchSize = 100;

type Lease = Pick<SendJob, "deliveryId" | "leaseToken">;
type Kept = { readonly lease: Lease; readonly fromMonotonicMs: number };

/**
 * Gives leases back to the store, which owes nobody a delivery that somebody holds. What it will not take at the moment
 * is kept until it does; a lease of a process that ends is the store's to free.
 */
export class LeaseReleaser {
  readonly #options: LeaseReleaserOptions;
  #kept: readonly Kept[] = [];
  readonly #gathered: Lease[] = [];
  /** What takes those gathered; null when nobody gave anything since the last call went out. */
  #next: Promise<void> | null = null;
  /** The last call to the store. */
  #taking: Promise<void> = Promise.resolve();

  constructor(options: LeaseReleaserOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the store has taken them, or would not: then `retry` asks again. Never rejects. What is given while the
   * store takes others goes with the next call: a burst that finds no room is given piece by piece.
   */
  async release(jobs: readonly Lease[]): Promise<void> {
    if (jobs.length === 0) return;
    for (const { deliveryId, leaseToken } of jobs) this.#gathered.push({ deliveryId, leaseToken });
    if (this.#next === null) {
      this.#next = this.#taking.then(() => this.#releaseGathered());
      this.#taking = this.#next;
    }
    await this.#next;
  }

  async #releaseGathered(): Promise<void> {
    const gathered = this.#gathered.splice(0);
    this.#next = null;
    for (let from = 0; from < gathered.length; from += releaseBatchSize)
      await this.#releaseAll(gathered.slice(from, from + releaseBatchSize));
  }

  async #releaseAll(leases: readonly Lease[]): Promise<void> {
    const { store, clock, logger } = this.#options;
    try {
      await store.releaseDeliveries(leases, clock.nowMs());
    } catch (error) {
      logger.warn({ deliveries: leases.length, error: String(error) }, "delivery.release_failed");
      const fromMonotonicMs = clock.monotonicMs();
      this.#kept = [...this.#kept, ...leases.map((lease) => ({ lease, fromMonotonicMs }))];
    }
  }

  /** By the first `retry` after this time: what went wrong with it must not become a storm. */
  releaseLater(job: Lease, delayMs: number): void {
    const { deliveryId, leaseToken } = job;
    const fromMonotonicMs = this.#options.clock.monotonicMs() + delayMs;
    this.#kept = [...this.#kept, { lease: { deliveryId, leaseToken }, fromMonotonicMs }];
  }

  /** Gives what was kept and may go; with `all`, everything. True: there was something. */
  async retry({ all }: { readonly all: boolean } = { all: false }): Promise<boolean> {
    if (all) await this.#taking;
    const nowMs = this.#options.clock.monotonicMs();
    const due = this.#kept.filter(({ fromMonotonicMs }) => all || fromMonotonicMs <= nowMs);
    if (due.length === 0) return false;
    this.#kept = this.#kept.filter((kept) => !due.includes(kept));
    await this.release(due.map(({ lease }) => lease));
    return true;
  }
}
