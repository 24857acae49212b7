import { isTransientStoreError } from "../../domain/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { MarkStore, SweptPortion } from "../../ports/stores/mark-store.ts";
import { sleep } from "./timed-waits.ts";

export type MarkSweeperOptions = {
  readonly store: MarkStore;
  readonly clock: Clock;
  /** Called after the commit of each portion. */
  readonly onSwept: (portion: Extract<SweptPortion, { kind: "swept" }>) => void;
};

/** Number of accounts that one look finds. */
const accountsAtOnce = 100;
/** A round ends after this time, so that the supervisor sees the loop tick; the next round continues. */
const maxRoundMs = 15_000;
/** Gap after a portion, as a multiple of its duration: the store serves others for at least as long. */
const gapRatio = 1;

/**
 * Carries out marks, see `domain/deliveries/marks.ts`: one portion of each marked account in turn, each a transaction of its
 * own, until no account has a mark. A process that ends between two portions loses nothing, because the next start goes on.
 */
export class MarkSweeper {
  readonly tickEveryMs = 20_000;
  readonly #options: MarkSweeperOptions;
  readonly #stopping = new AbortController();
  #round: Promise<void> | null = null;
  /** Whether a mark may have been set since the round under way looked for marks. */
  #isWoken = false;

  constructor(options: MarkSweeperOptions) {
    this.#options = options;
  }

  /** Carries out all marks, or joins the round under way. */
  tick(): Promise<void> {
    this.#round ??= this.#sweep().finally(() => {
      this.#round = null;
    });
    return this.#round;
  }

  /** Looks for marks now, because one may have been set. Errors of the store are left to the next round. */
  wake(): void {
    this.#isWoken = true;
    if (this.#round === null)
      this.tick().catch((error: unknown) => {
        if (!isTransientStoreError(error)) throw error;
      });
  }

  /** Ends the round under way after its portion. */
  stop(): void {
    this.#stopping.abort();
  }

  async #sweep(): Promise<void> {
    const { store, clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const isOver = () => this.#stopping.signal.aborted || clock.monotonicMs() - startedMs >= maxRoundMs;
    while (!isOver()) {
      this.#isWoken = false;
      const accountIds = await store.listMarkedAccounts(accountsAtOnce);
      let swept = false;
      const refusals: unknown[] = [];
      for (const accountId of accountIds) {
        if (isOver()) break;
        // An account that gets no turn in time must not keep the marks of the others waiting.
        const isSwept = await this.#sweepPortion(accountId).catch((error: unknown) => {
          if (!isTransientStoreError(error)) throw error;
          refusals.push(error);
          return false;
        });
        if (isSwept) swept = true;
      }
      if (!swept && refusals.length > 0) throw refusals[0];
      // Where nothing was swept, another instance carries the marks out.
      if (!swept && !this.#isWoken) return;
    }
  }

  async #sweepPortion(accountId: string): Promise<boolean> {
    const { store, clock, onSwept } = this.#options;
    const startedMs = clock.monotonicMs();
    const portion = await store.sweepMark({ accountId, nowMs: clock.nowMs() });
    if (portion.kind === "nothing") return false;
    onSwept(portion);
    await sleep(clock, (clock.monotonicMs() - startedMs) * gapRatio, this.#stopping.signal);
    return true;
  }
}
