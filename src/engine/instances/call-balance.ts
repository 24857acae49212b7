import { callsToClaim, callsToRelease } from "../../domain/calls/call-balance.ts";
import { pollersOf } from "../../domain/sources/rate-division.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ClusterView, Instance, InstanceStore } from "../../ports/stores/instance-store.ts";
import type { Poller } from "../polling/poller.ts";
import type { SharedGate } from "../sources/source-gate.ts";

type BalancedGate = Pick<SharedGate, "rate" | "share" | "isScripted">;

export type CallBalanceOptions = {
  readonly store: Pick<InstanceStore, "countUnownedCalls" | "claimCalls" | "loadOwnedCalls">;
  readonly clock: Clock;
  /** Interval at which the other instances report their calls. */
  readonly heartbeatMs: number;
  readonly poller: Pick<Poller, "watch" | "assignment" | "sources">;
};

const claimBatch = 1000;
/** Maximum number of calls of a source that one sweep adopts, so that other instances and other work have their turn. */
const maxAdoptedPerSweep = 5000;
/** Calls adopted beyond the fair part if they are still unowned at the second check. */
const leftoverBatch = 100;
/** Time until unowned calls are counted again if this instance adopted none of them. */
const checkAgainMs = 5000;
/** Time after the deadline of a call whose source no instance has. Any instance then adopts the call, so that it ends. */
const abandonedAfterMs = 60 * 60 * 1000;
/** Interval between checks for such calls. */
const checkAbandonedEveryMs = 60_000;

/** Balance of calls: each instance releases calls beyond its fair part of each source, and adopts unowned ones up to it. */
export class CallBalance {
  readonly #options: CallBalanceOptions;
  #cluster: ClusterView | null = null;
  #sawUnowned = false;
  readonly #releasedAtMonotonicMs = new Map<string, number>();
  #checkAgainAtMonotonicMs = -Infinity;
  #checkAbandonedAtMonotonicMs = -Infinity;

  constructor(options: CallBalanceOptions) {
    this.#options = options;
  }

  /** Releases surplus calls after a heartbeat. */
  async releaseSurplus(cluster: ClusterView): Promise<void> {
    const { poller, clock, heartbeatMs } = this.#options;
    this.#cluster = cluster;
    await this.#watchOwned(await poller.assignment.releaseAgain());
    for (const [name, count] of poller.sources.callsOfUnconfigured)
      if (count > 0 && isPolledElsewhere(name, cluster)) await this.#release(name, count);
    for (const [name, gate] of poller.sources.gates) {
      // A scripted call exists only in this process, so another one would start its script again.
      if (gate.isScripted) continue;
      const { own, others, isPoller } = callCounts(name, gate, cluster);
      const count = isPoller ? callsToRelease({ own, others }) : own;
      // The other instances have not reported the calls of the last release yet.
      const isEarly = clock.monotonicMs() < (this.#releasedAtMonotonicMs.get(name) ?? -Infinity) + 2 * heartbeatMs;
      if (count === 0 || isEarly) continue;
      this.#releasedAtMonotonicMs.set(name, clock.monotonicMs());
      await this.#release(name, count);
    }
  }

  async #release(sourceName: string, count: number): Promise<void> {
    await this.#watchOwned(await this.#options.poller.assignment.releaseCalls(sourceName, count));
  }

  /** Watches calls that were registered or adopted here during their release, if the store assigns them to this instance. */
  async #watchOwned(ids: readonly string[]): Promise<void> {
    const { store, poller } = this.#options;
    if (ids.length > 0) for (const call of await store.loadOwnedCalls(ids)) poller.watch(call);
  }

  /** Adopts unowned calls that a sweep found; resolves with their number. */
  async claim(): Promise<number> {
    const { store, poller, clock } = this.#options;
    const cluster = this.#cluster;
    if (cluster === null || clock.monotonicMs() < this.#checkAgainAtMonotonicMs) return 0;
    let claimed = 0;
    const counts = await store.countUnownedCalls();
    claimed += await this.#adoptAbandoned(
      Object.keys(counts).filter((name) => !poller.sources.gates.has(name) && !isPolledElsewhere(name, cluster)),
    );
    for (const [name, unowned] of Object.entries(counts)) {
      const gate = poller.sources.gates.get(name);
      if (gate === undefined) continue;
      const { own, others, isPoller } = callCounts(name, gate, cluster);
      if (!isPoller) continue;
      const fair = callsToClaim({ own, others, free: unowned });
      claimed += await this.#adopt(name, fair > 0 || !this.#sawUnowned ? fair : Math.min(unowned, leftoverBatch));
    }
    if (claimed === 0 && this.#sawUnowned) this.#checkAgainAtMonotonicMs = clock.monotonicMs() + checkAgainMs;
    this.#sawUnowned = claimed === 0;
    return claimed;
  }

  /** Counts unowned calls again with the next sweep, because an instance released some or was evicted. */
  checkAgain(): void {
    this.#checkAgainAtMonotonicMs = -Infinity;
  }

  async #adoptAbandoned(sourceNames: readonly string[]): Promise<number> {
    const { clock } = this.#options;
    if (sourceNames.length === 0 || clock.monotonicMs() < this.#checkAbandonedAtMonotonicMs) return 0;
    this.#checkAbandonedAtMonotonicMs = clock.monotonicMs() + checkAbandonedEveryMs;
    let adopted = 0;
    for (const name of sourceNames) adopted += await this.#adopt(name, maxAdoptedPerSweep, clock.nowMs() - abandonedAfterMs);
    return adopted;
  }

  /** Adopts at most `count` unowned calls; with `deadlineBeforeMs`, only those whose earliest deadline is before that time. */
  async #adopt(sourceName: string, count: number, deadlineBeforeMs: number | null = null): Promise<number> {
    const { store, poller } = this.#options;
    let adopted = 0;
    const most = Math.min(count, maxAdoptedPerSweep);
    while (adopted < most) {
      const calls = await store.claimCalls({ sourceName, limit: Math.min(claimBatch, most - adopted), deadlineBeforeMs });
      if (calls.length === 0) break;
      poller.assignment.adopt(calls);
      adopted += calls.length;
    }
    return adopted;
  }
}

/** Whether another instance has the source. */
function isPolledElsewhere(sourceName: string, { token, instances }: ClusterView): boolean {
  return instances.some((instance) => instance.token !== token && instance.shares[sourceName] !== undefined);
}

function callCounts(name: string, gate: BalancedGate, { token, instances }: ClusterView) {
  const tokens = instances.map((instance) => instance.token);
  const pollers = new Set(pollersOf(gate.rate.maxPollsPerSecond, tokens));
  const others = instances.filter((instance) => instance.token !== token && pollers.has(instance.token));
  return { own: gate.share().calls, others: others.map((instance) => callsOf(instance, name)), isPoller: pollers.has(token) };
}

function callsOf({ shares }: Instance, sourceName: string): number {
  return shares[sourceName]?.calls ?? 0;
}
