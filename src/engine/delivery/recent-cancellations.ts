import { watchIdOf } from "../../domain/events/event.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";

/** A job leased before a watch or hook was removed may still be on its way for so long, with a store that is slow to answer. */
const removedMs = 60_000;
/** The same for an endpoint that was paused or disabled, whose deliveries are still owed: longer would hold up who enables it. */
const closedMs = 2000;

/**
 * What must not start though it was leased: it was, before the watch or hook was removed or the endpoint paused or disabled.
 * The store hands out no more of it, so each is remembered for as long only as a lease may be on its way.
 */
export class RecentCancellations {
  readonly #removedWatches: Tombstones;
  readonly #canceledDeliveries: Tombstones;
  readonly #pausedEndpoints: Tombstones;
  readonly #disabledEndpoints: Tombstones;

  constructor(clock: Clock) {
    this.#removedWatches = new Tombstones(clock, removedMs);
    this.#canceledDeliveries = new Tombstones(clock, removedMs);
    this.#pausedEndpoints = new Tombstones(clock, closedMs);
    this.#disabledEndpoints = new Tombstones(clock, closedMs);
  }

  removeWatch(watchId: string): void {
    this.#removedWatches.add(watchId);
  }

  cancelDelivery(deliveryId: string): void {
    this.#canceledDeliveries.add(deliveryId);
  }

  closeEndpoint(endpointId: string, state: "paused" | "disabled"): void {
    // Disabled and then paused, it takes attempts by hand again.
    if (state === "paused") this.#disabledEndpoints.forget(endpointId);
    (state === "paused" ? this.#pausedEndpoints : this.#disabledEndpoints).add(endpointId);
  }

  openEndpoint(endpointId: string): void {
    for (const tombstones of [this.#pausedEndpoints, this.#disabledEndpoints]) tombstones.forget(endpointId);
  }

  /** It is not disabled any more, but may be paused; whether it was barred. */
  reopenEndpoint(endpointId: string): boolean {
    return this.#disabledEndpoints.forget(endpointId);
  }

  /** By hand one may go to a paused endpoint. */
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
