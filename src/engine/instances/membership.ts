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

  /** Sends no more heartbeats and deletes the row, which frees everything not released before. Never rejects. */
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
