import { isTransientStoreError } from "../../domain/errors.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import type { ClusterView, InstanceStore, Shares } from "../../ports/stores/instance-store.ts";
import type { Logger } from "../../ports/telemetry.ts";
import { InstanceLease } from "./instance-lease.ts";
import type { LeaseTimes } from "./instance-lease.ts";

export type MembershipOptions = {
  readonly store: Pick<InstanceStore, "join" | "heartbeat" | "leave">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
  readonly times: LeaseTimes;
  /** What to tell the others. */
  readonly shares: () => Shares;
  /** The lease has run out: what was granted may be somebody else's. What is owned is kept until it is known to be lost. */
  readonly onLapsed: () => void;
  /** Others have taken over everything: nothing held here is ours. */
  readonly onFenced: () => void;
  /** After each heartbeat. Resolves with how soon the next one is wanted; null: at its usual time. */
  readonly onClusterView: (cluster: ClusterView) => Promise<number | null>;
  /** Work may begin again after it might not. */
  readonly onResumed: () => void;
};

const retryMs = 1000;

/**
 * This instance among the others.
 *
 * joined  -> renewed by every heartbeat; work may begin until the lease's last seconds
 * lapsed  -> the database cannot be reached for a lease: nothing begins, everything is kept. Reached again before anybody
 *            evicted us: joined, as if nothing had been
 * fenced  -> evicted: everything is dropped, and a new token is joined with at once
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #lease: InstanceLease;
  #cluster: ClusterView | null = null;
  #heartbeating: Promise<void> | null = null;
  #timer: Timer | null = null;
  #isReachable = true;
  #isStopped = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#lease = new InstanceLease(options.times);
  }

  /** As of the last heartbeat; null before the first. */
  get cluster(): ClusterView | null {
    return this.#cluster;
  }

  get isReachable(): boolean {
    return this.#isReachable;
  }

  mayStart(): boolean {
    return this.#lease.mayStart(this.#options.clock.monotonicMs());
  }

  /** Whether somebody who is silent may be taken for dead. */
  mayEvict(): boolean {
    return this.#lease.isSteady(this.#options.clock.monotonicMs());
  }

  /** One heartbeat now; joins the one that is under way. Rejects for bugs only. */
  heartbeat(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    this.#heartbeating ??= this.#heartbeat().finally(() => {
      this.#heartbeating = null;
    });
    return this.#heartbeating;
  }

  /** A write was refused: what is under way may have begun before that. */
  async heartbeatNow(): Promise<void> {
    await this.#heartbeating;
    await this.heartbeat();
  }

  /** A heartbeat sooner than usual. */
  heartbeatIn(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.heartbeat().catch((error: unknown) => this.#options.logger.error({ error: String(error) }, "instance.heartbeat_failed"));
    });
  }

  /** No heartbeat follows; what is not given back yet is free. Never rejects. */
  async leave(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#heartbeating;
    if (this.#cluster === null) return;
    this.#lease.end();
    try {
      await this.#options.store.leave();
    } catch (error) {
      // Then the lease runs out.
      this.#options.logger.warn({ error: String(error) }, "instance.leave_failed");
    }
  }

  async #heartbeat(): Promise<void> {
    const { clock, logger, onClusterView, onLapsed, onResumed } = this.#options;
    this.#timer?.cancel();
    if (this.#cluster !== null && this.#lease.isOver(clock.monotonicMs())) onLapsed();
    try {
      const mightStart = this.mayStart();
      this.#cluster = await this.#renew();
      if (!this.#isReachable) logger.info({}, "store.reachable");
      this.#isReachable = true;
      const nextMs = await onClusterView(this.#cluster);
      if (!mightStart) onResumed();
      if (nextMs !== null && !this.#isStopped) this.heartbeatIn(nextMs);
    } catch (error) {
      if (!isTransientStoreError(error)) throw error;
      if (this.#isReachable) logger.warn({ error: error.message }, "store.unreachable");
      this.#isReachable = false;
      if (!this.#isStopped) this.heartbeatIn(retryMs);
    }
  }

  async #renew(): Promise<ClusterView> {
    const { store, clock, logger, times, shares, onFenced } = this.#options;
    if (this.#cluster !== null) {
      const sentAtMs = clock.monotonicMs();
      const answer = await store.heartbeat({ leaseMs: times.leaseMs, shares: shares() });
      if (answer.kind === "alive") {
        this.#lease.renew(sentAtMs);
        return answer;
      }
      logger.error({ instance: this.#cluster.token }, "instance.fenced");
      this.#lease.end();
      this.#cluster = null;
      onFenced();
    }
    return this.#join();
  }

  async #join(): Promise<ClusterView> {
    const { store, clock, logger, times, version, shares } = this.#options;
    const sentAtMs = clock.monotonicMs();
    const cluster = await store.join({ version, leaseMs: times.leaseMs, shares: shares() });
    this.#lease.renew(sentAtMs);
    logger.info({ instance: cluster.token, instances: cluster.instances.length }, "instance.joined");
    return cluster;
  }
}
