import type { UpstreamKind } from "./upstream-api.ts";

/** API of a poll; `json` for a shape. */
export type PolledKind = UpstreamKind | "json";

/** Status request as the upstream saw it. `statusCode` is `null` if the answer was incomplete (reset, hang, truncated). */
export type PollRecord = {
  readonly callSid: string;
  readonly kind: PolledKind;
  /** Wall time in epoch milliseconds. */
  readonly atMs: number;
  readonly statusCode: number | null;
};

type Waiter = { readonly callSid: string; readonly count: number; readonly resolve: () => void };

/** Log of the last `capacity` polls. Counts the polls of each call and can wait for a number of them. */
export class PollLog {
  readonly #ring: PollRecord[] = [];
  readonly #capacity: number;
  readonly #maxCalls: number;
  readonly #countBySid = new Map<string, number>();
  #waiters: readonly Waiter[] = [];
  #total = 0;

  constructor(limits: { readonly capacity: number; readonly maxCalls: number }) {
    this.#capacity = limits.capacity;
    this.#maxCalls = limits.maxCalls;
  }

  get total(): number {
    return this.#total;
  }

  record(poll: PollRecord): void {
    this.#ring[this.#total++ % this.#capacity] = poll;
    const count = (this.#countBySid.get(poll.callSid) ?? 0) + 1;
    this.#countBySid.set(poll.callSid, count);
    if (this.#countBySid.size > this.#maxCalls) this.#countBySid.delete(this.#countBySid.keys().next().value ?? "");
    if (this.#waiters.length === 0) return;
    const met = (waiter: Waiter) => waiter.callSid === poll.callSid && waiter.count <= count;
    for (const waiter of this.#waiters) if (met(waiter)) waiter.resolve();
    this.#waiters = this.#waiters.filter((waiter) => !met(waiter));
  }

  countOf(callSid: string): number {
    return this.#countBySid.get(callSid) ?? 0;
  }

  /** Oldest first. */
  list(): readonly PollRecord[] {
    if (this.#total <= this.#capacity) return [...this.#ring];
    const head = this.#total % this.#capacity;
    return [...this.#ring.slice(head), ...this.#ring.slice(0, head)];
  }

  /** Resolves once the call was polled `count` times in all. */
  reached(callSid: string, count: number): Promise<void> {
    if (this.countOf(callSid) >= count) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters = [...this.#waiters, { callSid, count, resolve }];
    });
  }
}
