import { isTransientStoreError } from "../../domain/errors.ts";
import type { InstanceStore, Sweep } from "../../ports/stores/instance-store.ts";
import type { GateState } from "../../ports/stores/shared-source-store.ts";
import type { Dispatcher } from "../delivery/dispatcher.ts";
import type { Poller } from "../polling/poller.ts";
import type { LongPollWaiters } from "../requests/long-poll-waiters.ts";
import { SerializedRuns } from "../runtime/serialized-runs.ts";

export type ChangeSweeperOptions = {
  readonly store: Pick<InstanceStore, "sweep" | "listNotices" | "listEnded" | "loadOwnedCalls" | "evict">;
  readonly waiters: Pick<LongPollWaiters, "hasWaiters" | "waitedFor" | "publish">;
  readonly dispatcher: Pick<Dispatcher, "wake" | "dropFinished" | "cancelEndpoint">;
  /** Applies sources that the operator set; rejects while the store is unavailable. */
  readonly refreshSources: () => Promise<void>;
  /** Called with the accounts that are disabled now. */
  readonly followAccounts: (disabledIds: readonly string[]) => void;
  readonly poller: Pick<Poller, "watch" | "rewatch">;
  readonly adopt: (gates: readonly GateState[]) => void;
  readonly mayEvict: () => boolean;
  readonly onEvicted: () => void;
  readonly claimUnowned: () => Promise<number>;
  /** Called if every watched call has an owner. */
  readonly onAllOwned: () => void;
};

const noticePage = 1000;
const sweepsBetweenEndChecks = 6;

/**
 * Polls for changes made by other instances, every second and immediately on a signal. Costs one statement if nothing
 * changed.
 */
export class ChangeSweeper {
  readonly #options: ChangeSweeperOptions;
  readonly #sweeps = new SerializedRuns(() => this.#sweepOnce());
  #feedPosition: string | null = null;
  #sweepsUntilEndCheck = 0;
  #sourceRevisions: number | null = null;
  /** Calls that other instances changed and that are not refreshed yet. */
  readonly #dirty = new Set<string>();

  /**
   * Interval between sweeps. Less than a second, so that this instance starts no attempt for a watch that another one
   * deleted a second ago.
   */
  readonly tickEveryMs = 800;

  constructor(options: ChangeSweeperOptions) {
    this.#options = options;
  }

  /** Sweeps now; during a sweep, requests another one without waiting for it. Rejects only because of a bug. */
  tick(): Promise<void> {
    return this.#sweeps.run();
  }

  /** Resolves at the end of a sweep that starts after this call. Rejects only because of a bug. */
  sweepAgain(): Promise<void> {
    return this.#sweeps.runAgain();
  }

  /** Looks for ended watches with the next sweep, because another instance deleted one. */
  onDeletion(): void {
    this.#sweepsUntilEndCheck = 0;
  }

  /** Discards the changed calls after this instance lost all calls. */
  reset(): void {
    this.#dirty.clear();
  }

  async #sweepOnce(): Promise<void> {
    try {
      await this.#apply(await this.#options.store.sweep());
    } catch (error) {
      // The next tick sweeps again.
      if (!isTransientStoreError(error)) throw error;
    }
  }

  async #apply(sweep: Sweep): Promise<void> {
    const { dispatcher, adopt, store, mayEvict, onEvicted, claimUnowned } = this.#options;
    if (sweep.settledDeliveryIds.length > 0) dispatcher.dropFinished(new Set(sweep.settledDeliveryIds));
    for (const endpointId of sweep.closedEndpointIds) dispatcher.cancelEndpoint(endpointId);
    this.#options.followAccounts(sweep.disabledAccountIds);
    await this.#followSources(sweep.sourceRevisions);
    if (sweep.gates.length > 0) adopt(sweep.gates);
    if (sweep.isDeliveryDue) dispatcher.wake();
    for (const callId of sweep.dirtyCallIds) this.#dirty.add(callId);
    if (this.#dirty.size > 0) await this.#refreshDirty();
    await this.#publishNotices(sweep.feedPosition);
    const evicted = sweep.expiredTokens.length > 0 && mayEvict() ? await store.evict(sweep.expiredTokens) : 0;
    if (evicted > 0) onEvicted();
    if (!sweep.hasUnownedCalls && evicted === 0) this.#options.onAllOwned();
    if ((sweep.hasUnownedCalls || evicted > 0) && (await claimUnowned()) > 0) void this.#sweeps.run();
  }

  async #followSources(revisions: number): Promise<void> {
    if (revisions === this.#sourceRevisions) return;
    await this.#options.refreshSources();
    this.#sourceRevisions = revisions;
  }

  async #refreshDirty(): Promise<void> {
    const { store, poller } = this.#options;
    const callIds = [...this.#dirty];
    const owned = new Map((await store.loadOwnedCalls(callIds)).map((call) => [call.callId, call]));
    for (const callId of callIds) {
      this.#dirty.delete(callId);
      const call = owned.get(callId);
      if (call === undefined) poller.rewatch(callId, null);
      else poller.watch(call);
    }
  }

  /** Wakes requests that wait here for events that other instances committed. */
  async #publishNotices(feedPosition: string): Promise<void> {
    const { store, waiters } = this.#options;
    // Begins at the position of the previous sweep, because a request that arrived since then may wait for an event committed since then.
    let position = this.#feedPosition ?? feedPosition;
    this.#feedPosition = feedPosition;
    if (!waiters.hasWaiters) return;
    for (let more = position !== feedPosition; more;) {
      const page = await store.listNotices({ position, limit: noticePage });
      waiters.publish(page.notices);
      ({ position, more } = page);
    }
    this.#feedPosition = position;
    await this.#publishEnds();
  }

  /** Wakes requests for watches that were deleted, because a deletion emits no event. Checked after a deletion and every few sweeps. */
  async #publishEnds(): Promise<void> {
    const { store, waiters } = this.#options;
    this.#sweepsUntilEndCheck -= 1;
    if (this.#sweepsUntilEndCheck > 0) return;
    this.#sweepsUntilEndCheck = sweepsBetweenEndChecks;
    const watchIds = waiters.waitedFor("wch_");
    if (watchIds.length === 0) return;
    for (const watchId of await store.listEnded(watchIds))
      waiters.publish([{ watchId, accountId: "", callSid: null, sequence: 0, eventType: "" }]);
  }
}
