import type { SendJob } from "../../ports/stores/send-job.ts";
import type { DeliveryLimits } from "./delivery-limits.ts";
import { hostKeyOf } from "./delivery-limits.ts";

/** Leased jobs that wait in memory for capacity: in order of arrival per endpoint, with the endpoints of a host in turn. */
export class JobBuffer {
  readonly #limits: DeliveryLimits;
  readonly #byEndpoint = new Map<string, Set<SendJob>>();
  readonly #endpointsByHost = new Map<string, Set<string>>();
  #size = 0;

  constructor(limits: DeliveryLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  countFor(endpointId: string): number {
    return this.#byEndpoint.get(endpointId)?.size ?? 0;
  }

  /** Buffers a job; false if the buffer is full for its endpoint or host. */
  add(job: SendJob): boolean {
    if (!this.#limits.reserveBuffer(job.target)) return false;
    const { id } = job.target;
    const jobs = this.#byEndpoint.get(id) ?? new Set();
    this.#byEndpoint.set(id, jobs.add(job));
    const hostKey = hostKeyOf(job.target);
    this.#endpointsByHost.set(hostKey, (this.#endpointsByHost.get(hostKey) ?? new Set()).add(id));
    this.#size += 1;
    return true;
  }

  /**
   * Passes buffered jobs of one host, or of all if `hostKey` is `null`, to `start` until it accepts no more or `isFull`.
   * Returns whether it accepted any.
   */
  start(hostKey: string | null, isFull: () => boolean, start: (job: SendJob) => boolean): boolean {
    let startedAny = false;
    for (let started = true; started;) {
      started = false;
      for (const job of this.#heads(hostKey)) {
        if (isFull()) return startedAny;
        if (!start(job)) continue;
        this.#remove(job);
        started = startedAny = true;
      }
    }
    return startedAny;
  }

  /** Returns the first job of each endpoint. */
  heads(): readonly SendJob[] {
    return this.#heads(null);
  }

  *all(): Generator<SendJob> {
    for (const jobs of this.#byEndpoint.values()) yield* jobs;
  }

  /** Removes and returns every job that matches, limited to one endpoint unless `endpointId` is `null`. */
  takeWhere(matches: (job: SendJob) => boolean, endpointId: string | null = null): readonly SendJob[] {
    const sets = endpointId === null ? [...this.#byEndpoint.values()] : [this.#byEndpoint.get(endpointId) ?? new Set<SendJob>()];
    const taken = sets.flatMap((jobs) => [...jobs].filter(matches));
    for (const job of taken) this.#remove(job);
    return taken;
  }

  #heads(hostKey: string | null): readonly SendJob[] {
    const endpointIds = hostKey === null ? this.#byEndpoint.keys() : (this.#endpointsByHost.get(hostKey) ?? []);
    const heads: SendJob[] = [];
    for (const endpointId of endpointIds) {
      const [first] = this.#byEndpoint.get(endpointId) ?? [];
      if (first !== undefined) heads.push(first);
    }
    return heads;
  }

  /** Removes a job and ends the turn of its endpoint. */
  #remove(job: SendJob): void {
    const { id } = job.target;
    const jobs = this.#byEndpoint.get(id);
    if (jobs?.delete(job) !== true) return;
    this.#size -= 1;
    this.#limits.freeBuffer(job.target);
    const hostKey = hostKeyOf(job.target);
    const ofHost = this.#endpointsByHost.get(hostKey);
    this.#byEndpoint.delete(id);
    ofHost?.delete(id);
    if (jobs.size > 0) {
      this.#byEndpoint.set(id, jobs);
      ofHost?.add(id);
    } else if (ofHost?.size === 0) this.#endpointsByHost.delete(hostKey);
  }
}
