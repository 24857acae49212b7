import { isTransientStoreError } from "../../domain/errors.ts";
import type { WatchedCall } from "../../ports/stores/call-store.ts";
import type { InstanceStore, Sweep } from "../../ports/stores/instance-store.ts";
import type { GateState } from "../../ports/stores/shared-source-store.ts";
import type { LongPollWaiters } from "../requests/long-poll-waiters.ts";
import { SerializedRuns } from "../runtime/serialized-runs.ts";

export type ChangeSweeperOptions = {
  readonly store: Pick<InstanceStore, "sweep" | "listNotices" | "listEnded" | "loadOwnedCalls" | "evict">;
  readonly waiting: Pick<LongPollWaiters, "hasWaiters" | "waitedFor" | "publish">;
  readonly onDeliveryDue: () => void;
  readonly onSettled: (deliveryIds: ReadonlySet<string>) => void;
  readonly onClosed: (endpointId: string) => void;
  /** Sources were set or changed; rejects while they cannot be read. */
  readonly refreshSources: () => Promise<void>;
  readonly watch: (call: WatchedCall) => void;
  readonly unwatch: (callId: string) => void;
  readonly adopt: (gates: readonly GateState[]) => void;
  readonly mayEvict: () => boolean;
  readonly onEvicted: () => void;
  readonly claimUnowned: () => Promise<number>;
};

const noticePage = 1000;
const sweepsBetweenEnds = 6;

/**
 * Looks once a second, and at once when told to, at what other instances did that concerns this one. One statement when
 * nothing did.
 */
export class ChangeSweeper {
  readonly #options: ChangeSweeperOptions;
  readonly #looks = new SerializedRuns(() => this.#lookOnce());
  #feedPosition: string | null = null;
  #sweepsUntilEnds = 0;
  #sourceRevisions: number | null = null;
  /** Taken from the store, not acted on yet. */
  readonly #dirty = new Set<string>();

  /** A watch deleted elsewhere starts no attempt here after a second: the look itself takes its time. */
  readonly tickEveryMs = 800;

  constructor(options: ChangeSweeperOptions) {
    this.#options = options;
  }

  /** One look now; during one it is followed by another, which is not waited for. Rejects for bugs only. */
  tick(): Promise<void> {
    return this.#looks.run();
  }

  /** A look that begins now or after the one that runs. Resolves with its end; rejects for bugs only. */
  look(): Promise<void> {
    return this.#looks.runAgain();
  }

  /** Somebody deleted a watch. */
  onDeletion(): void {
    this.#sweepsUntilEnds = 0;
  }

  /** Everything taken before is somebody else's to act on. */
  reset(): void {
    this.#dirty.clear();
  }

  async #lookOnce(): Promise<void> {
    try {
      await this.#act(await this.#options.store.sweep());
    } catch (error) {
      // The next tick looks again.
      if (!isTransientStoreError(error)) throw error;
    }
  }

  async #act(sweep: Sweep): Promise<void> {
    const { onDeliveryDue, onSettled, onClosed, adopt, store, mayEvict, onEvicted, claimUnowned } = this.#options;
    if (sweep.settledDeliveryIds.length > 0) onSettled(new Set(sweep.settledDeliveryIds));
    for (const endpointId of sweep.closedEndpointIds) onClosed(endpointId);
    await this.#followSources(sweep.sourceRevisions);
    if (sweep.gates.length > 0) adopt(sweep.gates);
    if (sweep.isDeliveryDue) onDeliveryDue();
    for (const callId of sweep.dirtyCallIds) this.#dirty.add(callId);
    if (this.#dirty.size > 0) await this.#refreshDirty();
    await this.#passOnNotices(sweep.feedPosition);
    const evicted = sweep.expiredTokens.length > 0 && mayEvict() ? await store.evict(sweep.expiredTokens) : 0;
    if (evicted > 0) onEvicted();
    if ((sweep.hasUnownedCalls || evicted > 0) && (await claimUnowned()) > 0) void this.#looks.run();
  }

  async #followSources(revisions: number): Promise<void> {
    if (revisions === this.#sourceRevisions) return;
    await this.#options.refreshSources();
    this.#sourceRevisions = revisions;
  }

  async #refreshDirty(): Promise<void> {
    const { store, watch, unwatch } = this.#options;
    const callIds = [...this.#dirty];
    const owned = new Map((await store.loadOwnedCalls(callIds)).map((call) => [call.callId, call]));
    for (const callId of callIds) {
      this.#dirty.delete(callId);
      const call = owned.get(callId);
      if (call === undefined) unwatch(callId);
      else watch(call);
    }
  }

  /** Requests that wait here for what other instances commit. */
  async #passOnNotices(feedPosition: string): Promise<void> {
    const { store, waiting } = this.#options;
    // From the look before: whoever came since then may wait for something that was committed since then.
    let position = this.#feedPosition ?? feedPosition;
    this.#feedPosition = feedPosition;
    if (!waiting.hasWaiters) return;
    for (let more = position !== feedPosition; more;) {
      const page = await store.listNotices({ position, limit: noticePage });
      waiting.publish(page.notices);
      ({ position, more } = page);
    }
    this.#feedPosition = position;
    await this.#passOnEnds();
  }

  /** A watch that was deleted tells no event; looked at when somebody deleted one, and now and then. */
  async #passOnEnds(): Promise<void> {
    const { store, waiting } = this.#options;
    this.#sweepsUntilEnds -= 1;
    if (this.#sweepsUntilEnds > 0) return;
    this.#sweepsUntilEnds = sweepsBetweenEnds;
    const watchIds = waiting.waitedFor("wch_");
    if (watchIds.length === 0) return;
    for (const watchId of await store.listEnded(watchIds)) waiting.publish([{ watchId, accountId: "", sequence: 0, eventType: "" }]);
  }
}
