import { callsToClaim, callsToRelease, mayTakeLeft } from "../../domain/calls/call-balance.ts";
import type { CallPoller, UnownedCalls } from "../../domain/calls/call-balance.ts";
import { pollersOf } from "../../domain/sources/rate-division.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ClusterView, InstanceStore, SourceShare } from "../../ports/stores/instance-store.ts";
import type { Poller } from "../polling/poller.ts";
import type { SharedGate } from "../sources/source-gate.ts";

type BalancedGate = Pick<SharedGate, "rate" | "share" | "isScripted">;

export type CallBalanceOptions = {
  readonly store: Pick<InstanceStore, "countUnownedCalls" | "countOwnedCalls" | "claimCalls" | "loadOwnedCalls">;
  readonly clock: Clock;
  /** Interval at which the other instances report their calls. */
  readonly heartbeatMs: number;
  readonly poller: Pick<Poller, "watch" | "assignment" | "sources">;
};

const claimBatch = 1000;
/** Maximum number of calls of a source that one sweep adopts, so that other instances and other work have their turn. */
const maxAdoptedPerSweep = 5000;
/** Number of calls beyond the fair part that one check adopts. */
const leftoverBatch = 100;
/** Time until unowned calls are counted again if this instance adopted none of them. */
const checkAgainMs = 5000;
/** Time after the deadline of a call whose source no instance has. Any instance then adopts the call, so that it ends. */
const abandonedAfterMs = 60 * 60 * 1000;
/** Interval between checks for such calls. */
const checkAbandonedEveryMs = 60_000;

/**
 * Balance of calls: each instance releases calls beyond its fair part of each source, and adopts unowned ones up to it. Neither
 * gives an instance more than its part of the rate can poll.
 *
 * The counts of the other instances are as old as their heartbeats. So calls are released only after a count of the owners in
 * the store, or a burst of registrations that is even would be shuffled. Released calls beyond the fair parts are taken after
 * two heartbeats, when all counts are right; what a dead or stopped instance left is taken at the second check.
 */
export class CallBalance {
  readonly #options: CallBalanceOptions;
  #cluster: ClusterView | null = null;
  #sawUnowned = false;
  /** Time since which each source has had released calls without an owner at every check. */
  readonly #freeSinceMonotonicMs = new Map<string, number>();
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
      // The other instances have not reported the calls of the last release yet.
      if (clock.monotonicMs() < (this.#releasedAtMonotonicMs.get(name) ?? -Infinity) + 2 * heartbeatMs) continue;
      const count = await this.#surplusOf(name, gate, cluster);
      if (count === 0) continue;
      this.#releasedAtMonotonicMs.set(name, clock.monotonicMs());
      await this.#release(name, count);
    }
  }

  async #surplusOf(name: string, gate: BalancedGate, cluster: ClusterView): Promise<number> {
    const { own, others, isPoller } = pollersIn(name, gate, cluster);
    if (!isPoller) return own.calls;
    if (callsToRelease(own, others, gate.rate) === 0) return 0;
    const owned = await this.#options.store.countOwnedCalls(
      name,
      cluster.instances.map(({ token }) => token),
    );
    const counted = others.map((other) => ({ ...other, calls: owned.get(other.token) ?? 0 }));
    return callsToRelease({ ...own, calls: gate.share().calls }, counted, gate.rate);
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
    for (const name of this.#freeSinceMonotonicMs.keys()) if (counts[name] === undefined) this.#freeSinceMonotonicMs.delete(name);
    claimed += await this.#adoptAbandoned(
      Object.keys(counts).filter((name) => !poller.sources.gates.has(name) && !isPolledElsewhere(name, cluster)),
    );
    for (const [name, unowned] of Object.entries(counts)) {
      const gate = poller.sources.gates.get(name);
      // No instance polls the calls of a removed source, so any of them adopts these calls to end their watches.
      if (poller.sources.isRemoved(name)) claimed += await this.#adopt(name, unowned.released + unowned.left);
      if (gate === undefined) continue;
      claimed += await this.#claimOf(name, gate, unowned, cluster);
    }
    if (claimed === 0 && this.#sawUnowned) this.#checkAgainAtMonotonicMs = clock.monotonicMs() + checkAgainMs;
    this.#sawUnowned = claimed === 0;
    return claimed;
  }

  async #claimOf(name: string, gate: BalancedGate, free: UnownedCalls, cluster: ClusterView): Promise<number> {
    const { clock, heartbeatMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const freeSinceMs = this.#freeSinceMonotonicMs.get(name) ?? nowMs;
    this.#freeSinceMonotonicMs.set(name, freeSinceMs);
    const { own, others, isPoller } = pollersIn(name, gate, cluster);
    if (!isPoller) return 0;
    const wanted = callsToClaim(own, others, free, gate.rate);
    let claimed = await this.#adopt(name, wanted.left, { isLeft: true });
    if (wanted.released > 0) claimed += await this.#adopt(name, wanted.released);
    if (claimed > 0) return claimed;
    if (nowMs >= freeSinceMs + 2 * heartbeatMs) return this.#adopt(name, leftoverBatch);
    return this.#sawUnowned && mayTakeLeft(own, others, free, gate.rate) ? this.#adopt(name, leftoverBatch, { isLeft: true }) : 0;
  }

  /** A sweep found that every call has an owner. */
  allOwned(): void {
    this.#freeSinceMonotonicMs.clear();
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
    for (const name of sourceNames)
      adopted += await this.#adopt(name, maxAdoptedPerSweep, { deadlineBeforeMs: clock.nowMs() - abandonedAfterMs });
    return adopted;
  }

  /**
   * Adopts at most `count` unowned calls: with `isLeft`, only those that a dead or stopped instance left; with
   * `deadlineBeforeMs`, only those whose earliest deadline is before that time.
   */
  async #adopt(
    sourceName: string,
    count: number,
    { isLeft = false, deadlineBeforeMs = null }: { readonly isLeft?: boolean; readonly deadlineBeforeMs?: number | null } = {},
  ): Promise<number> {
    const { store, poller } = this.#options;
    let adopted = 0;
    const most = Math.min(count, maxAdoptedPerSweep);
    while (adopted < most) {
      const calls = await store.claimCalls({ sourceName, limit: Math.min(claimBatch, most - adopted), isLeft, deadlineBeforeMs });
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

type CountedPoller = CallPoller & { readonly token: number };

/** Returns the instances that poll a source, with the counts of their last heartbeats, and the present ones of this instance. */
function pollersIn(name: string, gate: BalancedGate, { token, instances }: ClusterView) {
  const tokens = instances.map((instance) => instance.token);
  const pollers = new Set(pollersOf(gate.rate.maxPollsPerSecond, tokens));
  const others = instances.filter((instance) => instance.token !== token && pollers.has(instance.token));
  return {
    own: { calls: gate.share().calls, ratePerSecond: gate.rate.grantPerSecond },
    others: others.map((instance): CountedPoller => ({ token: instance.token, ...pollerOf(instance.shares[name]) })),
    isPoller: pollers.has(token),
  };
}

function pollerOf(share: SourceShare | undefined): CallPoller {
  return { calls: share?.calls ?? 0, ratePerSecond: share?.ratePerSecond ?? 0 };
}
