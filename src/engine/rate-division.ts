import { shareRate } from "../domain/rate-grants.ts";
import type { Alive, OwnershipStore } from "../ports/ownership-store.ts";
import type { Clock } from "../ports/clock.ts";
import type { SharedGate } from "./source-gate.ts";

export type RateDivisionOptions = {
  readonly store: Pick<OwnershipStore, "raiseRates">;
  readonly clock: Clock;
  /** By source, as they are now. */
  readonly gates: () => ReadonlyMap<string, Pick<SharedGate, "maxPollsPerSecond" | "setGrant">>;
  /** There is more of the source's rate than before. */
  readonly onRaised: (sourceName: string) => void;
};

type Grant = { effective: number; published: number; loweredAtMonotonicMs: number };

/** Polls sent just before a rate was lowered still count in their second; only then others may have what was given up. */
const settleMs = 1200;

/**
 * This instance's part of each source's rate. A lower one is in effect at once and published a second later; a higher one
 * is published, and in effect, only as far as the others' published rates leave room. So what is in effect everywhere
 * never adds up to more than the rate.
 */
export class RateDivision {
  readonly #options: RateDivisionOptions;
  readonly #grants = new Map<string, Grant>();
  #hasGrants = false;

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

  /** What the next heartbeat says, by source. */
  publish(): ReadonlyMap<string, number> {
    const nowMs = this.#options.clock.monotonicMs();
    for (const grant of this.#grants.values()) if (nowMs - grant.loweredAtMonotonicMs >= settleMs) grant.published = grant.effective;
    return new Map([...this.#grants].map(([name, { published }]) => [name, published]));
  }

  /**
   * After a heartbeat. Resolves with how soon another one is wanted: something was lowered and is to be published, or
   * others are to lower first; null: all is as it should be.
   */
  async divide({ token, instances }: Alive): Promise<number | null> {
    const { store, clock } = this.#options;
    const wanted: Record<string, { wantedPerSecond: number; limitPerSecond: number }> = {};
    for (const [name, { maxPollsPerSecond }] of this.#options.gates()) {
      const grant = this.#grantOf(name);
      const claimants = instances.map((instance) => ({ token: instance.token, calls: instance.shares[name]?.calls ?? 0 }));
      const wantedPerSecond = shareRate(maxPollsPerSecond, claimants).get(token) ?? 0;
      if (wantedPerSecond > grant.published) wanted[name] = { wantedPerSecond, limitPerSecond: maxPollsPerSecond };
      else {
        if (wantedPerSecond < grant.effective) grant.loweredAtMonotonicMs = clock.monotonicMs();
        this.#apply(name, wantedPerSecond);
      }
    }
    const granted = Object.keys(wanted).length === 0 ? {} : await store.raiseRates(wanted);
    for (const [name, rate] of Object.entries(granted)) {
      this.#grantOf(name).published = rate;
      this.#apply(name, rate);
    }
    this.#hasGrants = Object.keys(wanted).every((name) => this.#grantOf(name).effective > 0);
    const waits = Object.entries(wanted).some(([name, { wantedPerSecond }]) => this.#grantOf(name).effective < wantedPerSecond);
    const isLowered = [...this.#grants.values()].some(({ effective, published }) => effective < published);
    return waits || isLowered ? settleMs : null;
  }

  #apply(name: string, rate: number): void {
    const grant = this.#grantOf(name);
    this.#options.gates().get(name)?.setGrant(rate);
    if (rate > grant.effective) this.#options.onRaised(name);
    grant.effective = rate;
  }

  #grantOf(name: string): Grant {
    let grant = this.#grants.get(name);
    if (grant === undefined) {
      grant = { effective: 0, published: 0, loweredAtMonotonicMs: 0 };
      this.#grants.set(name, grant);
    }
    return grant;
  }
}
