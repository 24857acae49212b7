import { watchIdOf } from "../../domain/events/event.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";

/** Time for which a job that was leased before a removal may still arrive from a slow store. */
const removalTombstoneMs = 60_000;
/**
 * Time for which a job of a paused or disabled endpoint may still arrive. Short, because the deliveries of an endpoint are
 * pending again once it is enabled.
 */
const closureTombstoneMs = 2000;

/**
 * Tombstones of removed watches, canceled deliveries and closed endpoints: their jobs must not start, even if they were
 * leased before. The store leases no further jobs of these, so a tombstone lives only as long as a leased job may still
 * arrive here.
 */
export class RecentCancellations {
  readonly #removedWatches: Tombstones;
  readonly #canceledDeliveries: Tombstones;
  readonly #pausedEndpoints: Tombstones;
  readonly #disabledEndpoints: Tombstones;

  constructor(clock: Clock) {
    this.#removedWatches = new Tombstones(clock, removalTombstoneMs);
    this.#canceledDeliveries = new Tombstones(clock, removalTombstoneMs);
    this.#pausedEndpoints = new Tombstones(clock, closureTombstoneMs);
    this.#disabledEndpoints = new Tombstones(clock, closureTombstoneMs);
  }

  removeWatch(watchId: string): void {
    this.#removedWatches.add(watchId);
  }

  cancelDelivery(deliveryId: string): void {
    this.#canceledDeliveries.add(deliveryId);
  }

  closeEndpoint(endpointId: string, state: "paused" | "disabled"): void {
    // An endpoint that was disabled and is now paused accepts manual attempts again.
    if (state === "paused") this.#disabledEndpoints.forget(endpointId);
    (state === "paused" ? this.#pausedEndpoints : this.#disabledEndpoints).add(endpointId);
  }

  openEndpoint(endpointId: string): void {
    for (const tombstones of [this.#pausedEndpoints, this.#disabledEndpoints]) tombstones.forget(endpointId);
  }

  /** Removes the tombstone of a disabled endpoint, but not that of a paused one. Returns whether there was one. */
  reopenEndpoint(endpointId: string): boolean {
    return this.#disabledEndpoints.forget(endpointId);
  }

  /** Whether the job may start; a paused endpoint still accepts manual ones. */
  mayStart(job: SendJob): boolean {
    const { id } = job.target;
    if (this.#disabledEndpoints.has(id) || this.#removedWatches.has(watchIdOf(job.event) ?? "")) return false;
    return job.mode === "manual" || (!this.#pausedEndpoints.has(id) && !this.#canceledDeliveries.has(job.deliveryId));
  }
}

class Tombstones {
  readonly #clock: Clock;
  readonly #rememberMs: number;
  /** Oldest first. */
  readonly #sinceMonotonicMs = new Map<string, number>();

  constructor(clock: Clock, rememberMs: number) {
    this.#clock = clock;
    this.#rememberMs = rememberMs;
  }

  add(id: string): void {
    const nowMs = this.#clock.monotonicMs();
    this.#sinceMonotonicMs.delete(id);
    this.#sinceMonotonicMs.set(id, nowMs);
    for (const [oldest, sinceMs] of this.#sinceMonotonicMs) {
      if (nowMs - sinceMs < this.#rememberMs) return;
      this.#sinceMonotonicMs.delete(oldest);
    }
  }

  forget(id: string): boolean {
    return this.#sinceMonotonicMs.delete(id);
  }

  has(id: string): boolean {
    const sinceMs = this.#sinceMonotonicMs.get(id);
    return sinceMs !== undefined && this.#clock.monotonicMs() - sinceMs < this.#rememberMs;
  }
}
