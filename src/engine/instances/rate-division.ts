import { divideRate } from "../../domain/sources/rate-division.ts";
import type { ClusterView, InstanceStore } from "../../ports/stores/instance-store.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SharedGate } from "../sources/source-gate.ts";

export type RateDivisionOptions = {
  readonly store: Pick<InstanceStore, "raiseRates">;
  readonly clock: Clock;
  /** Returns the current gates by source. */
  readonly gates: () => ReadonlyMap<string, Pick<SharedGate, "rate">>;
  /** Whether the lease was renewed for some time without a gap, so that every other instance is back or was evicted. */
  readonly isSteady: () => boolean;
  /** Called when the grant of a source was raised. */
  readonly onRaised: (sourceName: string) => void;
};

type Grant = {
  effective: number;
  published: number;
  /** Lower rates in effect since `atMonotonicMs` and not published yet, the latest last. */
  lowered: { readonly rate: number; readonly atMonotonicMs: number }[];
};

/** Time from lowering a rate to publishing it, because polls sent just before still count in their second. */
const settleMs = 1100;

/**
 * Division of each source's rate: the grant of this instance. A lower grant is in effect immediately and published a
 * second later; a higher one is published, and in effect, only as far as the published grants of the others allow. So the
 * grants in effect never add up to more than the rate.
 */
export class RateDivision {
  readonly #options: RateDivisionOptions;
  readonly #grants = new Map<string, Grant>();
  /** Grants before the lease lapsed, until the lease is steady again; `null` if it did not lapse. */
  #beforeLapse: ReadonlyMap<string, number> | null = null;
  #hasGrants = false;
  #isWaiting = false;
  #hasReleased = false;

  constructor(options: RateDivisionOptions) {
    this.#options = options;
  }

  /** Voids all grants, because the instance was evicted. */
  reset(): void {
    this.#beforeLapse = null;
    this.#void();
  }

  /**
   * Voids all grants, because the lease is over and the instance may have been evicted. If it was not, the first division asks
   * for the grants that it had and for no more: the other instances may have lapsed as well and ask for theirs.
   */
  lapse(): void {
    this.#beforeLapse ??= new Map([...this.#grants].map(([name, { effective }]) => [name, effective]));
    this.#void();
  }

  #void(): void {
    this.#hasGrants = false;
    this.#grants.clear();
    for (const gate of this.#options.gates().values()) gate.rate.setGrant(0);
  }

  /** Whether this instance has a grant of every source that it is to poll. */
  get hasGrants(): boolean {
    return this.#hasGrants;
  }

  /** Whether other instances must lower their grant first. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Whether the last heartbeat published a lower grant. */
  get hasReleased(): boolean {
    return this.#hasReleased;
  }

  /** Returns the grants that the next heartbeat reports, by source. */
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
   * Divides the rates after a heartbeat. Resolves with the time until the next heartbeat, if a lower grant is to be
   * published or other instances must lower theirs first; otherwise `null`.
   */
  async divide({ token, instances }: ClusterView): Promise<number | null> {
    const { store, isSteady } = this.#options;
    if (isSteady()) this.#beforeLapse = null;
    const wanted: Record<string, { wantedPerSecond: number; limitPerSecond: number }> = {};
    for (const [name, gate] of this.#options.gates()) {
      const { maxPollsPerSecond } = gate.rate;
      const grant = this.#grantOf(name);
      const participants = instances.map((instance) => ({ token: instance.token, calls: instance.shares[name]?.calls ?? 0 }));
      const dividedPerSecond = divideRate(maxPollsPerSecond, participants).get(token) ?? 0;
      const wantedPerSecond = Math.min(dividedPerSecond, this.#beforeLapse?.get(name) ?? Infinity);
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
    this.#options.gates().get(name)?.rate.setGrant(rate);
    if (rate === grant.effective) return;
    // A grant that was lowered and raised again before it was published stays as it was.
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
