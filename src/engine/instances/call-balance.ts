import { callsToClaim, callsToRelease } from "../../domain/calls/call-balance.ts";
import { pollersOf } from "../../domain/sources/rate-division.ts";
import type { WatchedCall } from "../../ports/stores/call-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ClusterView, Instance, InstanceStore } from "../../ports/stores/instance-store.ts";
import type { CallAssignment } from "../polling/call-assignment.ts";
import type { SharedGate } from "../sources/source-gate.ts";

type Gate = Pick<SharedGate, "maxPollsPerSecond" | "share" | "isScripted">;

export type CallBalanceOptions = {
  readonly store: Pick<InstanceStore, "countUnownedCalls" | "claimCalls" | "loadOwnedCalls">;
  readonly clock: Clock;
  /** How often the others tell what they have. */
  readonly heartbeatMs: number;
  readonly assignment: Pick<CallAssignment, "adopt" | "releaseCalls">;
  /** As after a registration. */
  readonly watch: (call: WatchedCall) => void;
  /** By source, as they are now. */
  readonly gates: () => ReadonlyMap<string, Gate>;
  /** Calls kept here of sources that are not configured here, by the source's name. */
  readonly callsOfUnconfiguredSources: () => ReadonlyMap<string, number>;
};

const claimBatch = 1000;
/** Then others have their turn, and the sweep its other duties. */
const claimAtOnce = 5000;
/** Of what is still free at the second look nobody takes its share: whoever sees it takes so many. */
const leftoverBatch = 100;
/** Free calls that are not for this instance (another one is about to take them, or their source is unknown here) are not counted again before. */
const checkAgainMs = 5000;
/** Nobody polls a call of a source that nobody has: so long after its deadline whoever sees it takes it, for it to end. */
const abandonedAfterMs = 60 * 60 * 1000;
/** Such calls are looked for so often. */
const abandonedEveryMs = 60_000;

/** Each instance polls its fair share of each source's calls: it gives back what it has beyond, and takes what is free. */
export class CallBalance {
  readonly #options: CallBalanceOptions;
  #cluster: ClusterView | null = null;
  #sawFree = false;
  readonly #shedAtMonotonicMs = new Map<string, number>();
  #checkAgainAtMonotonicMs = -Infinity;
  #lookForAbandonedAtMonotonicMs = -Infinity;

  constructor(options: CallBalanceOptions) {
    this.#options = options;
  }

  /** After a heartbeat: surplus goes. */
  async releaseSurplus(cluster: ClusterView): Promise<void> {
    const { gates, callsOfUnconfiguredSources, clock, heartbeatMs } = this.#options;
    this.#cluster = cluster;
    for (const [name, count] of callsOfUnconfiguredSources())
      if (count > 0 && isPolledElsewhere(name, cluster)) await this.#release(name, count);
    for (const [name, gate] of gates()) {
      // The script of a call is the process's that polls it: elsewhere its life would begin anew.
      if (gate.isScripted) continue;
      const { own, others, isPoller } = standingOf(name, gate, cluster);
      const count = isPoller ? callsToRelease({ own, others }) : own;
      // What was given before is not among what the others have told yet.
      const isEarly = clock.monotonicMs() < (this.#shedAtMonotonicMs.get(name) ?? -Infinity) + 2 * heartbeatMs;
      if (count === 0 || isEarly) continue;
      this.#shedAtMonotonicMs.set(name, clock.monotonicMs());
      await this.#release(name, count);
    }
  }

  async #release(sourceName: string, count: number): Promise<void> {
    const { assignment, store, watch } = this.#options;
    const ids = await assignment.releaseCalls(sourceName, count);
    // Registered here while they were on their way: whoever of us the store names goes on.
    if (ids.length > 0) for (const call of await store.loadOwnedCalls(ids)) watch(call);
  }

  /** The sweep saw calls that nobody owns. Resolves with how many were taken. */
  async claim(): Promise<number> {
    const { store, gates, clock } = this.#options;
    const cluster = this.#cluster;
    if (cluster === null || clock.monotonicMs() < this.#checkAgainAtMonotonicMs) return 0;
    let claimed = 0;
    const counts = await store.countUnownedCalls();
    claimed += await this.#takeAbandoned(Object.keys(counts).filter((name) => !gates().has(name) && !isPolledElsewhere(name, cluster)));
    for (const [name, free] of Object.entries(counts)) {
      const gate = gates().get(name);
      if (gate === undefined) continue;
      const { own, others, isPoller } = standingOf(name, gate, cluster);
      if (!isPoller) continue;
      const fair = callsToClaim({ own, others, free });
      claimed += await this.#adopt(name, fair > 0 || !this.#sawFree ? fair : Math.min(free, leftoverBatch));
    }
    if (claimed === 0 && this.#sawFree) this.#checkAgainAtMonotonicMs = clock.monotonicMs() + checkAgainMs;
    this.#sawFree = claimed === 0;
    return claimed;
  }

  /** Something was given back or somebody was evicted: look at once. */
  checkAgain(): void {
    this.#checkAgainAtMonotonicMs = -Infinity;
  }

  async #takeAbandoned(sourceNames: readonly string[]): Promise<number> {
    const { clock } = this.#options;
    if (sourceNames.length === 0 || clock.monotonicMs() < this.#lookForAbandonedAtMonotonicMs) return 0;
    this.#lookForAbandonedAtMonotonicMs = clock.monotonicMs() + abandonedEveryMs;
    let taken = 0;
    for (const name of sourceNames) taken += await this.#adopt(name, claimAtOnce, clock.nowMs() - abandonedAfterMs);
    return taken;
  }

  /** With `deadlineBeforeMs`: of those alone whose earliest deadline was before. */
  async #adopt(sourceName: string, count: number, deadlineBeforeMs: number | null = null): Promise<number> {
    const { store, assignment } = this.#options;
    let taken = 0;
    const most = Math.min(count, claimAtOnce);
    while (taken < most) {
      const calls = await store.claimCalls({ sourceName, limit: Math.min(claimBatch, most - taken), deadlineBeforeMs });
      if (calls.length === 0) break;
      assignment.adopt(calls);
      taken += calls.length;
    }
    return taken;
  }
}

/** Whether another instance has the source. */
function isPolledElsewhere(sourceName: string, { token, instances }: ClusterView): boolean {
  return instances.some((instance) => instance.token !== token && instance.shares[sourceName] !== undefined);
}

function standingOf(name: string, gate: Gate, { token, instances }: ClusterView) {
  const tokens = instances.map((instance) => instance.token);
  const pollers = new Set(pollersOf(gate.maxPollsPerSecond, tokens));
  const others = instances.filter((instance) => instance.token !== token && pollers.has(instance.token));
  return { own: gate.share().calls, others: others.map((instance) => callsOf(instance, name)), isPoller: pollers.has(token) };
}

function callsOf({ shares }: Instance, sourceName: string): number {
  return shares[sourceName]?.calls ?? 0;
}
