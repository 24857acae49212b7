import type { SendJob } from "../ports/send-job.ts";

/** Leased jobs that wait in memory for room, by endpoint, in the order they came. */
export class HeldJobs {
  readonly #byEndpoint = new Map<string, Set<SendJob>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  countFor(endpointId: string): number {
    return this.#byEndpoint.get(endpointId)?.size ?? 0;
  }

  add(job: SendJob): void {
    const jobs = this.#byEndpoint.get(job.target.id) ?? new Set<SendJob>();
    this.#byEndpoint.set(job.target.id, jobs.add(job));
    this.#size += 1;
  }

  remove(job: SendJob): void {
    const jobs = this.#byEndpoint.get(job.target.id);
    if (jobs?.delete(job) !== true) return;
    this.#size -= 1;
    if (jobs.size === 0) this.#byEndpoint.delete(job.target.id);
  }

  /** The next of this endpoint, then of a few others whose room may have been taken by it. */
  candidates(endpointId: string): readonly SendJob[] {
    const own = [...(this.#byEndpoint.get(endpointId) ?? [])].slice(0, 2);
    const others: SendJob[] = [];
    for (const [id, jobs] of this.#byEndpoint) {
      if (others.length >= 8) break;
      const [first] = jobs;
      if (id !== endpointId && first !== undefined) others.push(first);
    }
    return [...own, ...others];
  }

  *all(): Generator<SendJob> {
    for (const jobs of this.#byEndpoint.values()) yield* jobs;
  }

  /** Takes out every job that matches. */
  takeWhere(matches: (job: SendJob) => boolean): readonly SendJob[] {
    const taken = [...this.#byEndpoint.values()].flatMap((jobs) => [...jobs].filter(matches));
    for (const job of taken) this.remove(job);
    return taken;
  }
}
