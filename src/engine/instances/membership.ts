import { isTransientStoreError } from "../../domain/errors.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import type { ClusterView, InstanceStore, Shares } from "../../ports/stores/instance-store.ts";
import type { Logger } from "../../ports/telemetry.ts";

/** Durations of an instance's lease. */
export type LeaseTimes = {
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Last part of a lease, in which no work starts. */
  readonly marginMs: number;
  /** Part of a lease beyond the longest attempt, so that no other instance claims a delivery that is in flight. */
  readonly beyondAttemptMs: number;
};

export const leaseTimes: LeaseTimes = { leaseMs: 25_000, heartbeatMs: 5000, marginMs: 5000, beyondAttemptMs: 10_000 };

export type MembershipOptions = {
  readonly store: Pick<InstanceStore, "join" | "heartbeat" | "leave">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
  readonly times: LeaseTimes;
  /** Returns the shares that a heartbeat reports. */
  readonly shares: () => Shares;
  /** Called when the lease has run out: grants are void, while calls and jobs are kept until they are known to be lost. */
  readonly onLapsed: () => void;
  /** Called after an eviction: other instances have taken over all calls and jobs. */
  readonly onFenced: () => void;
  /** Called after each heartbeat. Resolves with the time until the next one; `null` for the regular time. */
  readonly onClusterView: (cluster: ClusterView) => Promise<number | null>;
  /** Called when work may start again. */
  readonly onResumed: () => void;
};

const retryMs = 1000;

/**
 * Membership of this instance in the group that shares a database.
 *
 * joined  -> every heartbeat renews the lease; work may start until the margin of the lease
 * lapsed  -> the database was unreachable for a whole lease: no work starts, all calls and jobs are kept. If the database
 *            becomes reachable before another instance evicted this one, it is joined again as before
 * fenced  -> evicted: all calls and jobs are discarded, and the instance joins with a new token immediately
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

  /** The instances as of the last heartbeat; `null` before the first. */
  get cluster(): ClusterView | null {
    return this.#cluster;
  }

  get isReachable(): boolean {
    return this.#isReachable;
  }

  mayStart(): boolean {
    return this.#lease.mayStart(this.#options.clock.monotonicMs());
  }

  /** Whether this instance may evict others whose lease has ended. */
  mayEvict(): boolean {
    return this.#lease.isSteady(this.#options.clock.monotonicMs());
  }

  /** Sends a heartbeat, or joins the one under way. Rejects only because of a bug. */
  heartbeat(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    this.#heartbeating ??= this.#heartbeat().finally(() => {
      this.#heartbeating = null;
    });
    return this.#heartbeating;
  }

  /** Sends a heartbeat that starts after this call, because the one under way may have started before a write was refused. */
  async heartbeatNow(): Promise<void> {
    await this.#heartbeating;
    await this.heartbeat();
  }

  /** Sends the next heartbeat after `delayMs`. */
  heartbeatIn(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.heartbeat().catch((error: unknown) => this.#options.logger.error({ error: String(error) }, "instance.heartbeat_failed"));
    });
  }

  /** Sends no more heartbeats and deletes the row. That frees everything not released before. Never rejects. */
  async leave(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#heartbeating;
    if (this.#cluster === null) return;
    this.#lease.end();
    try {
      await this.#options.store.leave();
    } catch (error) {
      // The lease runs out instead.
      this.#options.logger.warn({ error: String(error) }, "instance.leave_failed");
    }
  }

  async #heartbeat(): Promise<void> {
    const { clock, logger, onClusterView, onLapsed, onResumed } = this.#options;
    this.#timer?.cancel();
    if (this.#cluster !== null && this.#lease.isOver(clock.monotonicMs())) onLapsed();
    try {
      const couldStart = this.mayStart();
      this.#cluster = await this.#renew();
      if (!this.#isReachable) logger.info({}, "store.reachable");
      this.#isReachable = true;
      const nextMs = await onClusterView(this.#cluster);
      if (!couldStart) onResumed();
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

/**
 * This instance's own view of its lease. Times are monotonic milliseconds.
 *
 *   renewal sent                        margin       over
 *        |-------- work may start --------|-----------|
 *        0                    leaseMs - marginMs   leaseMs
 *
 * The lease counts from before the renewal was sent, and the database counts from its arrival, so this instance stops
 * before the database lets another one evict it.
 */
class InstanceLease {
  readonly #times: LeaseTimes;
  #sentAtMs = -Infinity;
  #steadySinceMs = Infinity;

  constructor(times: LeaseTimes) {
    this.#times = times;
  }

  renew(sentAtMs: number): void {
    if (sentAtMs - this.#sentAtMs > 2 * this.#times.heartbeatMs) this.#steadySinceMs = sentAtMs;
    this.#sentAtMs = sentAtMs;
  }

  end(): void {
    this.#sentAtMs = -Infinity;
  }

  /** Whether other instances may have evicted this one and divided its rates among themselves. */
  isOver(nowMs: number): boolean {
    return nowMs >= this.#sentAtMs + this.#times.leaseMs;
  }

  mayStart(nowMs: number): boolean {
    return nowMs < this.#sentAtMs + this.#times.leaseMs - this.#times.marginMs;
  }

  /**
   * Whether the lease was renewed without a gap for two heartbeats. Only then a silent instance can be taken for dead,
   * because after an outage of the database all instances are silent at first.
   */
  isSteady(nowMs: number): boolean {
    return !this.isOver(nowMs) && nowMs - this.#steadySinceMs >= 2 * this.#times.heartbeatMs;
  }
}
