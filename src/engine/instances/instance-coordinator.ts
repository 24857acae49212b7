import { stackOf } from "../../domain/error-text.ts";
import { isTransientStoreError } from "../../domain/errors.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";
import type { InstanceSignal, PeerNotifier } from "../../ports/peer-notifier.ts";
import type { Clock } from "../../ports/clock.ts";
import type { DeliveryStore } from "../../ports/stores/delivery-store.ts";
import type { ClusterView, InstanceStore, Shares } from "../../ports/stores/instance-store.ts";
import type { SharedSourceStore } from "../../ports/stores/shared-source-store.ts";
import type { KeyedSecretBox } from "../../ports/secret-box.ts";
import type { Logger } from "../../ports/telemetry.ts";
import { CallBalance } from "./call-balance.ts";
import type { DeliveryLimits } from "../delivery/delivery-limits.ts";
import type { Dispatcher } from "../delivery/dispatcher.ts";
import { leaseTimes } from "./instance-lease.ts";
import type { LeaseTimes } from "./instance-lease.ts";
import { Membership } from "./membership.ts";
import type { LongPollWaiters } from "../requests/long-poll-waiters.ts";
import { OrphanRescuer } from "./orphan-rescuer.ts";
import type { Poller } from "../polling/poller.ts";
import { PacedRuns } from "../runtime/paced-runs.ts";
import { sleep } from "../runtime/timed-waits.ts";
import { RateDivision } from "./rate-division.ts";
import { SourceStateSync } from "./source-state-sync.ts";
import { ChangeSweeper } from "./change-sweeper.ts";

export type InstanceCoordinatorOptions = {
  readonly store: InstanceStore & SharedSourceStore;
  readonly releaseDeliveries: DeliveryStore["releaseDeliveries"];
  readonly clock: Clock;
  readonly logger: Logger;
  /** So many are alive, this one with them. */
  readonly onInstances: (count: number) => void;
  /** Seals what the others must be able to open. */
  readonly secretBox: Pick<KeyedSecretBox, "sealFor">;
  readonly version: string;
  readonly times?: LeaseTimes;
  readonly poller: Poller;
  readonly dispatcher: Dispatcher;
  readonly limits: DeliveryLimits;
  readonly waiters: LongPollWaiters;
  /** Sources were set or changed by the operator; rejects while they cannot be read. */
  readonly refreshSources: () => Promise<void>;
  readonly peerNotifier: PeerNotifier;
  /** To the hooks, from the first instance that saw it. */
  readonly onSourceChange: (health: SourceHealth, change: "suspended" | "resumed") => void;
};

/** Longer than others need to give up their part of a rate for a newcomer. */
const firstGrantWaitMs = 4000;
/** Between looks that the others' word asks for: under load it comes all the time. */
const wordPauseMs = 50;

/**
 * What this instance has among several: which calls are polled here, how fast, and what the others must know of it. Calls
 * are owned by a lease that heartbeats renew; sweeps find what others did. Where there is one process for ever (SQLite),
 * there is no such thing, and the poller and the dispatcher have everything.
 */
export class InstanceCoordinator {
  readonly #options: InstanceCoordinatorOptions;
  readonly #membership: Membership;
  readonly #division: RateDivision;
  readonly #balance: CallBalance;
  readonly #shared: SourceStateSync;
  readonly #sweeper: ChangeSweeper;
  readonly #word: PacedRuns;
  readonly #orphans: OrphanRescuer;
  readonly heartbeatEveryMs: number;
  #isDraining = false;
  #isMaintaining = false;

  constructor(options: InstanceCoordinatorOptions) {
    const { store, releaseDeliveries, clock, logger, version, times = leaseTimes, poller, dispatcher, waiters } = options;
    this.#options = options;
    this.heartbeatEveryMs = times.heartbeatMs;
    const gates = () => poller.gates;
    const watch = (call: Parameters<Poller["watch"]>[0]) => poller.watch(call);
    this.#division = new RateDivision({ store, clock, gates, onRaised: (name) => poller.resume(name) });
    const callsOfUnconfiguredSources = () => poller.callsOfUnconfiguredSources;
    this.#balance = new CallBalance({
      store,
      clock,
      heartbeatMs: times.heartbeatMs,
      assignment: poller.assignment,
      watch,
      gates,
      callsOfUnconfiguredSources,
    });
    this.#shared = new SourceStateSync({
      store,
      gates,
      onAdopted: (name, change) => poller.resume(name, change),
      onSourceChange: options.onSourceChange,
    });
    this.#orphans = new OrphanRescuer({
      store,
      releaseDeliveries,
      clock,
      logger,
      adoptMissing: () => poller.assignment.adoptMissing(),
      activeLeases: () => dispatcher.leaseTokens(),
    });
    this.#sweeper = new ChangeSweeper({
      store,
      watch,
      waiting: waiters,
      onDeliveryDue: () => dispatcher.wake(),
      onSettled: (deliveryIds) => dispatcher.dropFinished(deliveryIds),
      onClosed: (endpointId) => dispatcher.cancelEndpoint(endpointId),
      refreshSources: async () => {
        await options.refreshSources();
        // Another rate, or a source that has none yet: it is divided anew.
        this.#heartbeatConcurrently();
      },
      unwatch: (callId) => poller.rewatch(callId, null),
      adopt: (rows) => this.#shared.adopt(rows),
      mayEvict: () => this.#membership.mayEvict(),
      onEvicted: () => this.#balance.checkAgain(),
      claimUnowned: () => (this.mayStart() ? this.#balance.claim() : Promise.resolve(0)),
    });
    this.#word = new PacedRuns({
      clock,
      pauseMs: wordPauseMs,
      run: () => this.#sweeper.look().catch((error: unknown) => this.#warn("instance.sweep_failed", error)),
    });
    this.#membership = new Membership({
      store,
      clock,
      logger,
      version,
      times,
      shares: () => this.#shares(),
      onLapsed: () => this.#division.reset(),
      onFenced: () => this.#loseEverything(),
      onClusterView: (cluster) => this.#act(cluster),
      onResumed: () => this.#resume(),
    });
  }

  /** Joins, and waits a little for a part of the sources' rates. Rejects with `StoreUnavailableError`. */
  async start(): Promise<void> {
    await this.#membership.heartbeat();
    const deadlineMs = this.#options.clock.monotonicMs() + firstGrantWaitMs;
    while (!this.#division.hasGrants && this.#options.clock.monotonicMs() < deadlineMs) {
      await sleep(this.#options.clock, 200);
      await this.#membership.heartbeat();
    }
    await this.#sweeper.tick();
  }

  /** Whether work may begin: the lease runs long enough. */
  mayStart(): boolean {
    return this.#membership.mayStart();
  }

  /** False from a failed heartbeat until the next good one. */
  get isStoreReachable(): boolean {
    return this.#membership.isReachable;
  }

  /** The one that has been there longest does what is to be done once. */
  get isEldest(): boolean {
    const cluster = this.#membership.cluster;
    return cluster !== null && cluster.instances[0]?.token === cluster.token;
  }

  heartbeat(): Promise<void> {
    return this.#membership.heartbeat();
  }

  get sweepEveryMs(): number {
    return this.#sweeper.tickEveryMs;
  }

  async sweep(): Promise<void> {
    await this.#sweeper.tick();
    await this.#shared.publish();
  }

  /** A write was refused because this instance was evicted: resolves when it has joined anew. */
  rejoin(): Promise<void> {
    return this.#membership.heartbeatNow();
  }

  /** The store did not answer something. */
  onStoreError(): void {
    this.#orphans.onStoreError();
  }

  /** A gate learnt what holds for all. */
  shared(sourceName: string, part: "suspension" | "throttle"): void {
    this.#shared.changed(sourceName, part);
  }

  /** Told to the hooks by whichever instance was first. */
  publishSourceChange(health: SourceHealth, change: "suspended" | "resumed"): void {
    this.#shared.queueSourceEvent(health, change);
  }

  /** Word from another instance. */
  onSignal(what: ReadonlySet<InstanceSignal>): void {
    if (this.#isDraining) return;
    if (what.has("watches")) this.#sweeper.onDeletion();
    if (what.has("calls") || what.has("instances")) this.#balance.checkAgain();
    this.#word.request();
    if (what.has("instances") || (what.has("rates") && this.#division.isWaiting)) this.#heartbeatConcurrently();
  }

  #heartbeatConcurrently(): void {
    this.#membership.heartbeat().catch((error: unknown) => this.#warn("instance.heartbeat_failed", error));
  }

  /** The process is about to stop: nothing more is taken, and the lease is kept until `stop`. */
  drain(): void {
    this.#isDraining = true;
    this.#word.close();
    this.#membership.heartbeatIn(0);
  }

  /** Gives up whatever is left, after poller and dispatcher have stopped. Never rejects. */
  stop(): Promise<void> {
    return this.#membership.leave();
  }

  #shares(): Shares {
    const rates = this.#division.publish();
    const shares = [...this.#options.poller.gates].map(([name, gate]) => [name, { ...gate.share(), ratePerSecond: rates.get(name) ?? 0 }]);
    return Object.fromEntries(shares) as Shares;
  }

  async #act(cluster: ClusterView): Promise<number | null> {
    const { limits, onInstances, secretBox, peerNotifier } = this.#options;
    onInstances(cluster.instances.length);
    secretBox.sealFor(cluster.instances.map(({ keyIds }) => keyIds).filter((keyIds) => keyIds.length > 0));
    limits.setInstances(cluster.instances.length);
    // The loop of the heartbeats has stopped by now or is about to.
    if (this.#isDraining) return this.heartbeatEveryMs;
    this.#shared.note(cluster);
    if (this.#division.hasReleased) peerNotifier.signal("rates");
    const nextMs = await this.#division.divide(cluster);
    this.#maintain(cluster);
    return nextMs;
  }

  /** What may take long, beside the heartbeats; one round at a time, so that neither works on what the other has under way. */
  #maintain(cluster: ClusterView): void {
    if (this.#isMaintaining) return;
    this.#isMaintaining = true;
    const tidy = async (): Promise<void> => {
      await this.#balance.releaseSurplus(cluster);
      await this.#orphans.look();
    };
    tidy()
      .catch((error: unknown) => this.#warn("instance.balance_failed", error))
      .finally(() => {
        this.#isMaintaining = false;
      });
  }

  #warn(message: string, error: unknown): void {
    const { logger } = this.#options;
    if (isTransientStoreError(error)) logger.warn({ error: error.message }, message);
    else logger.error({ error: stackOf(error) }, message);
  }

  #loseEverything(): void {
    const { poller, dispatcher } = this.#options;
    poller.assignment.drop();
    dispatcher.discardBuffered();
    this.#division.reset();
    this.#sweeper.reset();
  }

  #resume(): void {
    const { poller, dispatcher } = this.#options;
    for (const name of poller.gates.keys()) poller.resume(name);
    dispatcher.resume();
  }
}
