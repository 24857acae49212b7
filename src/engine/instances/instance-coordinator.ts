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
import type { ManualBudget } from "../delivery/manual-budget.ts";
import type { Dispatcher } from "../delivery/dispatcher.ts";
import { leaseTimes, Membership } from "./membership.ts";
import type { LeaseTimes } from "./membership.ts";
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
  /** Called with the number of instances that are alive, including this one. */
  readonly onInstances: (count: number) => void;
  /** Secret box. It must seal with a key that the other instances have too. */
  readonly secretBox: Pick<KeyedSecretBox, "sealFor">;
  readonly version: string;
  readonly times?: LeaseTimes;
  readonly poller: Poller;
  readonly dispatcher: Dispatcher;
  readonly limits: DeliveryLimits;
  readonly manualBudget: Pick<ManualBudget, "setShare">;
  readonly waiters: LongPollWaiters;
  /** Applies sources that the operator set; rejects while the store is unavailable. */
  readonly refreshSources: () => Promise<void>;
  /** Called with the accounts that are disabled now. */
  readonly followAccounts: (disabledIds: readonly string[]) => void;
  readonly peerNotifier: PeerNotifier;
  /** Called on the first instance that observed a change, to publish it to the hooks. */
  readonly onSourceChange: (health: SourceHealth, change: "suspended" | "resumed") => void;
};

/** Time that a new instance waits for its first grants. Longer than the other instances need to lower theirs. */
const firstGrantWaitMs = 4000;
/** Gap between two sweeps that signals of other instances cause. Without it sweeps would follow each other without end under load. */
const signalGapMs = 50;

/**
 * Coordinates this instance with the others on a shared database: which calls it polls, at which rate, and which changes
 * they exchange. Instances own calls through a lease that heartbeats renew, and find each other's changes by sweeps. A
 * process with a store of its own (SQLite) has no coordinator and owns everything.
 */
export class InstanceCoordinator {
  readonly #options: InstanceCoordinatorOptions;
  readonly membership: Membership;
  readonly #division: RateDivision;
  readonly #balance: CallBalance;
  readonly sourceStates: SourceStateSync;
  readonly #sweeper: ChangeSweeper;
  readonly #signaledSweeps: PacedRuns;
  readonly orphans: OrphanRescuer;
  readonly heartbeatEveryMs: number;
  #isDraining = false;
  #isMaintaining = false;

  constructor(options: InstanceCoordinatorOptions) {
    const { store, releaseDeliveries, clock, logger, version, times = leaseTimes, poller, dispatcher, waiters } = options;
    this.#options = options;
    this.heartbeatEveryMs = times.heartbeatMs;
    const gates = () => poller.sources.gates;
    this.#division = new RateDivision({
      store,
      clock,
      gates,
      isSteady: () => this.membership.mayEvict(),
      onRaised: (name) => {
        poller.resume(name);
        // This instance can poll more calls now.
        this.#balance.checkAgain();
      },
    });
    this.#balance = new CallBalance({ store, clock, heartbeatMs: times.heartbeatMs, poller });
    this.sourceStates = new SourceStateSync({
      store,
      gates,
      onAdopted: (name, change) => poller.resume(name, change),
      onSourceChange: options.onSourceChange,
    });
    this.orphans = new OrphanRescuer({ store, releaseDeliveries, clock, logger, poller, dispatcher });
    this.#sweeper = new ChangeSweeper({
      store,
      poller,
      dispatcher,
      waiters,
      followAccounts: options.followAccounts,
      refreshSources: async () => {
        await options.refreshSources();
        // A heartbeat divides changed rates and those of new sources.
        this.#heartbeatConcurrently();
      },
      adopt: (rows) => this.sourceStates.adopt(rows),
      mayEvict: () => this.membership.mayEvict(),
      onEvicted: () => {
        this.#balance.checkAgain();
        // A heartbeat divides the rate of the evicted instance, and counts it no more.
        this.#heartbeatConcurrently();
      },
      onAllOwned: () => this.#balance.allOwned(),
      claimUnowned: () => (this.membership.mayStart() ? this.#balance.claim() : Promise.resolve(0)),
    });
    this.#signaledSweeps = new PacedRuns({
      clock,
      gapMs: signalGapMs,
      run: () => this.#sweeper.sweepAgain().catch((error: unknown) => this.#warn("instance.sweep_failed", error)),
    });
    this.membership = new Membership({
      store,
      clock,
      logger,
      version,
      times,
      shares: () => this.#shares(),
      onLapsed: () => this.#division.lapse(),
      onFenced: () => this.#discardAll(),
      onClusterView: (cluster) => this.#applyView(cluster),
      onResumed: () => this.#resume(),
    });
  }

  /** Joins, and waits a few seconds for a grant of the sources' rates. Rejects with `StoreUnavailableError`. */
  async start(): Promise<void> {
    await this.membership.heartbeat();
    const deadlineMs = this.#options.clock.monotonicMs() + firstGrantWaitMs;
    while (!this.#division.hasGrants && this.#options.clock.monotonicMs() < deadlineMs) {
      await sleep(this.#options.clock, 200);
      await this.membership.heartbeat();
    }
    await this.#sweeper.tick();
  }

  /** Whether this is the oldest instance. The oldest one does the work that is needed only once for all instances. */
  get isEldest(): boolean {
    const cluster = this.membership.cluster;
    return cluster !== null && cluster.instances[0]?.token === cluster.token;
  }

  get sweepEveryMs(): number {
    return this.#sweeper.tickEveryMs;
  }

  async sweep(): Promise<void> {
    await this.#sweeper.tick();
    await this.sourceStates.publish();
  }

  /** Handles a signal of another instance. */
  onSignal(what: ReadonlySet<InstanceSignal>): void {
    if (this.#isDraining) return;
    if (what.has("watches")) this.#sweeper.onDeletion();
    if (what.has("calls") || what.has("instances")) this.#balance.checkAgain();
    this.#signaledSweeps.request();
    if (what.has("instances") || (what.has("rates") && this.#division.isWaiting)) this.#heartbeatConcurrently();
  }

  #heartbeatConcurrently(): void {
    this.membership.heartbeat().catch((error: unknown) => this.#warn("instance.heartbeat_failed", error));
  }

  /** Prepares for a stop: claims nothing more, and keeps the lease until `stop`. */
  drain(): void {
    this.#isDraining = true;
    this.#signaledSweeps.close();
    this.membership.heartbeatIn(0);
  }

  /** Leaves the group after poller and dispatcher have stopped. Leaving frees the calls and leases that are left. Never rejects. */
  stop(): Promise<void> {
    return this.membership.leave();
  }

  #shares(): Shares {
    const rates = this.#division.publish();
    const shares = [...this.#options.poller.sources.gates].map(([name, gate]) => [
      name,
      { ...gate.share(), ratePerSecond: rates.get(name) ?? 0, oldestDuePollMs: gate.oldestDueMs() },
    ]);
    return Object.fromEntries(shares) as Shares;
  }

  async #applyView(cluster: ClusterView): Promise<number | null> {
    const { limits, manualBudget, onInstances, secretBox, peerNotifier } = this.#options;
    onInstances(cluster.instances.length);
    secretBox.sealFor(cluster.instances.map(({ keyIds }) => keyIds).filter((keyIds) => keyIds.length > 0));
    limits.setInstances(cluster.instances.length);
    const rank = cluster.instances.findIndex(({ token }) => token === cluster.token);
    if (rank >= 0) manualBudget.setShare({ rank, instances: cluster.instances.length });
    // The heartbeat loop has stopped or is about to, so the heartbeat schedules the next one.
    if (this.#isDraining) return this.heartbeatEveryMs;
    this.sourceStates.applyShares(cluster);
    if (this.#division.hasReleased) peerNotifier.signal("rates");
    const nextMs = await this.#division.divide(cluster);
    this.#maintain(cluster);
    return nextMs;
  }

  /** Balances calls and rescues orphans beside the heartbeats; one round at a time, because rounds must not interleave. */
  #maintain(cluster: ClusterView): void {
    if (this.#isMaintaining) return;
    this.#isMaintaining = true;
    const round = async (): Promise<void> => {
      await this.#balance.releaseSurplus(cluster);
      await this.orphans.check();
    };
    round()
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

  #discardAll(): void {
    const { poller, dispatcher } = this.#options;
    poller.assignment.drop();
    dispatcher.discardBuffered();
    this.#division.reset();
    this.#sweeper.reset();
  }

  #resume(): void {
    const { poller, dispatcher } = this.#options;
    for (const name of poller.sources.gates.keys()) poller.resume(name);
    dispatcher.resume();
  }
}
