import { StoreUnavailable } from "../domain/errors.ts";
import type { Notice, WatchedCall } from "../ports/call-store.ts";
import type { OwnershipStore, Sweep } from "../ports/ownership-store.ts";
import type { SharedGate } from "../ports/shared-source-store.ts";

export type SweeperOptions = {
  readonly store: Pick<OwnershipStore, "sweep" | "listNotices" | "loadOwnedCalls" | "evict">;
  /** Somebody waits for an event. */
  readonly hasWaiters: () => boolean;
  readonly notify: (notices: readonly Notice[]) => void;
  readonly onDeliveryDue: () => void;
  readonly onSettled: (deliveryIds: ReadonlySet<string>) => void;
  readonly watch: (call: WatchedCall) => void;
  readonly unwatch: (callId: string) => void;
  readonly adopt: (gates: readonly SharedGate[]) => void;
  readonly mayEvict: () => boolean;
  readonly onEvicted: () => void;
  readonly claimFree: () => Promise<number>;
};

const noticePage = 1000;

/**
 * Looks once a second, and at once when told to, at what other instances did that concerns this one. One statement when
 * nothing did.
 */
export class Sweeper {
  readonly #options: SweeperOptions;
  #sweeping: Promise<void> | null = null;
  #sweepAgain = false;
  #feedPosition: string | null = null;
  /** Taken from the store, not acted on yet. */
  readonly #touched = new Set<string>();

  /** A watch deleted elsewhere starts no attempt here after a second: the look itself takes its time. */
  readonly tickEveryMs = 800;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** One look now; during one it is followed by another. Rejects for bugs only. */
  tick(): Promise<void> {
    if (this.#sweeping !== null) this.#sweepAgain = true;
    this.#sweeping ??= this.#run().finally(() => {
      this.#sweeping = null;
    });
    return this.#sweeping;
  }

  /** Everything taken before is somebody else's to act on. */
  reset(): void {
    this.#touched.clear();
  }

  async #run(): Promise<void> {
    try {
      do {
        this.#sweepAgain = false;
        await this.#act(await this.#options.store.sweep());
      } while (this.#sweepAgain);
    } catch (error) {
      // The next tick looks again.
      if (!(error instanceof StoreUnavailable)) throw error;
    }
  }

  async #act(sweep: Sweep): Promise<void> {
    const { onDeliveryDue, onSettled, adopt, store, mayEvict, onEvicted, claimFree } = this.#options;
    if (sweep.settledDeliveryIds.length > 0) onSettled(new Set(sweep.settledDeliveryIds));
    if (sweep.gates.length > 0) adopt(sweep.gates);
    if (sweep.isDeliveryDue) onDeliveryDue();
    for (const callId of sweep.touchedCallIds) this.#touched.add(callId);
    if (this.#touched.size > 0) await this.#lookAtTouched();
    await this.#passOnNotices(sweep.feedPosition);
    const evicted = sweep.expiredTokens.length > 0 && mayEvict() ? await store.evict(sweep.expiredTokens) : 0;
    if (evicted > 0) onEvicted();
    if (sweep.hasFreeCalls || evicted > 0) await claimFree();
  }

  async #lookAtTouched(): Promise<void> {
    const { store, watch, unwatch } = this.#options;
    const callIds = [...this.#touched];
    const owned = new Map((await store.loadOwnedCalls(callIds)).map((call) => [call.callId, call]));
    for (const callId of callIds) {
      this.#touched.delete(callId);
      const call = owned.get(callId);
      if (call === undefined) unwatch(callId);
      else watch(call);
    }
  }

  async #passOnNotices(feedPosition: string): Promise<void> {
    const { store, hasWaiters, notify } = this.#options;
    let position = this.#feedPosition ?? feedPosition;
    let more = hasWaiters() && position !== feedPosition;
    while (more) {
      const page = await store.listNotices({ position, limit: noticePage });
      notify(page.notices);
      ({ position, more } = page);
    }
    this.#feedPosition = hasWaiters() ? position : feedPosition;
  }
}
