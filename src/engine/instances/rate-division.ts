import { shareRate } from "../../domain/sources/rate-division.ts";
import type { ClusterView, InstanceStore } from "../../ports/stores/instance-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SharedGate } from "../sources/source-gate.ts";

export type RateDivisionOptions = {
  readonly store: Pick<InstanceStore, "raiseRates">;
  readonly clock: Clock;
  /** By source, as they are now. */
  readonly gates: () => ReadonlyMap<string, Pick<SharedGate, "maxPollsPerSecond" | "setGrant">>;
  /** There is more of the source's rate than before. */
  readonly onRaised: (sourceName: string) => void;
};

type Grant = {
  effective: number;
  published: number;
  /** Lower ones that are in effect since then and not published yet, the latest last. */
  lowered: { readonly rate: number; readonly atMonotonicMs: number }[];
};

/** Polls sent just before a rate was lowered still count in their second; only then others may have what was given up. */
const settleMs = 1100;

/**
 * This instance's part of each source's rate. A lower one is in effect at once and published a second later; a higher one
 * is published, and in effect, only as far as the others' published rates leave room. So what is in effect everywhere
 * never adds up to more than the rate.
 */
export class RateDivision {
  readonly #options: RateDivisionOptions;
  readonly #grants = new Map<string, Grant>();
  #hasGrants = false;
  #isWaiting = false;
  #hasReleased = false;

  constructor(options: RateDivisionOptions) {
    this.#options = options;
  }

  /** Nothing is granted: the instance has just joined, or others may have taken it for dead. */
  reset(): void {
    this.#hasGrants = false;
    this.#grants.clear();
    for (const gate of this.#options.gates().values()) gate.setGrant(0);
  }

  /** Every source may be polled here, or is polled by others alone. */
  get hasGrants(): boolean {
    return this.#hasGrants;
  }

  /** Others are to give something up first. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** The last heartbeat told that something was given up. */
  get hasReleased(): boolean {
    return this.#hasReleased;
  }

  /** What the next heartbeat says, by source. */
  publish(): ReadonlyMap<string, number> {
    const nowMs = this.#options.clock.monotonicMs();
    this.#hasReleased = false;
    for (const grant of this.#grants.values()) {
      const settled = grant.lowered.findLastIndex(({ atMonotonicMs }) => nowMs - atMonotonicMs >= settleMs);
      grant.published = grant.lowered[settled]?.rate ?? grant.published;
      if (grant.lowered.splice(0, settled + 1).length > 0) this.#hasReleased = true;
    }
    return new Map([...this.#grants].map(([name, { published }]) => [name, published]));
  }

  /**
   * After a heartbeat. Resolves with how soon another one is wanted: something was lowered and is to be published, or
   * others are to lower first; null: all is as it should be.
   */
  async divide({ token, instances }: ClusterView): Promise<number | null> {
    const { store } = this.#options;
    const wanted: Record<string, { wantedPerSecond: number; limitPerSecond: number }> = {};
    for (const [name, { maxPollsPerSecond }] of this.#options.gates()) {
      const grant = this.#grantOf(name);
      const claimants = instances.map((instance) => ({ token: instance.token, calls: instance.shares[name]?.calls ?? 0 }));
      const wantedPerSecond = shareRate(maxPollsPerSecond, claimants).get(token) ?? 0;
      if (wantedPerSecond > grant.published) wanted[name] = { wantedPerSecond, limitPerSecond: maxPollsPerSecond };
      else this.#apply(name, wantedPerSecond);
    }
    const granted = Object.keys(wanted).length === 0 ? {} : await store.raiseRates(wanted);
    for (const [name, rate] of Object.entries(granted)) {
      this.#grantOf(name).published = rate;
      this.#apply(name, rate);
    }
    this.#hasGrants = Object.keys(wanted).every((name) => this.#grantOf(name).effective > 0);
    this.#isWaiting = Object.entries(wanted).some(([name, { wantedPerSecond }]) => this.#grantOf(name).effective < wantedPerSecond);
    const isLowered = [...this.#grants.values()].some(({ lowered }) => lowered.length > 0);
    return this.#isWaiting || isLowered ? settleMs : null;
  }

  #apply(name: string, rate: number): void {
    const grant = this.#grantOf(name);
    this.#options.gates().get(name)?.setGrant(rate);
    if (rate === grant.effective) return;
    // What was to be given up may be used again: then it is not published as given up.
    if (rate > grant.effective) grant.lowered = [];
    if (rate < grant.published) grant.lowered.push({ rate, atMonotonicMs: this.#options.clock.monotonicMs() });
    if (rate > grant.effective) this.#options.onRaised(name);
    grant.effective = rate;
  }

  #grantOf(name: string): Grant {
    let grant = this.#grants.get(name);
    if (grant === undefined) {
      grant = { effective: 0, published: 0, lowered: [] };
      this.#grants.set(name, grant);
    }
    return grant;
  }
}
