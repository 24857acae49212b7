import type { Clock } from "../../ports/clock.ts";
import type { DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";
import type { Logger } from "../../ports/telemetry.ts";

export type LeaseReleaserOptions = {
  readonly store: Pick<DeliveryStore, "releaseDeliveries">;
  readonly clock: Clock;
  readonly logger: Logger;
};

/** Maximum number of leases in one release, so that a release delays other commits only briefly. */
const releaseBatchSize = 100;

type Lease = Pick<SendJob, "deliveryId" | "leaseToken">;
type Deferred = { readonly lease: Lease; readonly fromMonotonicMs: number };

/**
 * Releases the leases of jobs that were not sent, so that they can be claimed again. Leases that the store does not
 * accept are deferred and retried; the store itself frees the leases of a process that dies.
 */
export class LeaseReleaser {
  readonly #options: LeaseReleaserOptions;
  #deferred: readonly Deferred[] = [];
  readonly #queued: Lease[] = [];
  /** Release of the queued leases; `null` if none are queued. */
  #next: Promise<void> | null = null;
  /** The last release that was started or is to start. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: LeaseReleaserOptions) {
    this.#options = options;
  }

  /**
   * Releases leases. Resolves when the store has released them or has failed; then `retry` repeats the release. Never
   * rejects. Jobs of a burst are refused one by one, so leases that arrive during a release are gathered for the next one.
   */
  async release(jobs: readonly Lease[]): Promise<void> {
    if (jobs.length === 0) return;
    for (const { deliveryId, leaseToken } of jobs) this.#queued.push({ deliveryId, leaseToken });
    if (this.#next === null) {
      this.#next = this.#last.then(() => this.#releaseQueued());
      this.#last = this.#next;
    }
    await this.#next;
  }

  async #releaseQueued(): Promise<void> {
    const leases = this.#queued.splice(0);
    this.#next = null;
    for (let from = 0; from < leases.length; from += releaseBatchSize) await this.#releaseAll(leases.slice(from, from + releaseBatchSize));
  }

  async #releaseAll(leases: readonly Lease[]): Promise<void> {
    const { store, clock, logger } = this.#options;
    try {
      await store.releaseDeliveries(leases, clock.nowMs());
    } catch (error) {
      logger.warn({ deliveries: leases.length, error: String(error) }, "delivery.release_failed");
      const fromMonotonicMs = clock.monotonicMs();
      this.#deferred = [...this.#deferred, ...leases.map((lease) => ({ lease, fromMonotonicMs }))];
    }
  }

  /** Releases a lease with the first `retry` after `delayMs`, so that a failing job is not repeated in rapid succession. */
  releaseLater(job: Lease, delayMs: number): void {
    const { deliveryId, leaseToken } = job;
    const fromMonotonicMs = this.#options.clock.monotonicMs() + delayMs;
    this.#deferred = [...this.#deferred, { lease: { deliveryId, leaseToken }, fromMonotonicMs }];
  }

  /** Releases the deferred leases that are due, or all of them with `all`. Returns whether there were any. */
  async retry({ all }: { readonly all: boolean } = { all: false }): Promise<boolean> {
    if (all) await this.#last;
    const nowMs = this.#options.clock.monotonicMs();
    const due = this.#deferred.filter(({ fromMonotonicMs }) => all || fromMonotonicMs <= nowMs);
    if (due.length === 0) return false;
    this.#deferred = this.#deferred.filter((deferred) => !due.includes(deferred));
    await this.release(due.map(({ lease }) => lease));
    return true;
  }
}
