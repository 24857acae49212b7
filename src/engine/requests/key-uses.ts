import type { Clock } from "../../ports/clock.ts";
import type { AccountStore, KeyUse } from "../../ports/stores/account-store.ts";

export type KeyUsesOptions = {
  readonly store: Pick<AccountStore, "noteKeyUses">;
  readonly clock: Pick<Clock, "nowMs" | "monotonicMs">;
};

const minuteMs = 60_000;
const writeEveryMs = 60_000;
const maxPerWrite = 100;
/** Keys in memory, at most. Uses of further keys are noted after the next write. */
const maxKeys = 10_000;

/** Notes when keys were last used, to the minute. A request changes memory alone; the store is written at most once a minute. */
export class KeyUses {
  readonly #options: KeyUsesOptions;
  readonly tickEveryMs = 10_000;
  /** Minute of the last use by key id, of keys used since the last write. */
  #uses = new Map<string, number>();
  /** Minutes that the store has, of keys that were written last. */
  #written = new Map<string, number>();
  #writtenAtMonotonicMs: number;

  constructor(options: KeyUsesOptions) {
    this.#options = options;
    this.#writtenAtMonotonicMs = options.clock.monotonicMs();
  }

  note(keyId: string): void {
    const nowMs = this.#options.clock.nowMs();
    const usedAtMs = nowMs - (nowMs % minuteMs);
    if (this.#written.get(keyId) === usedAtMs || this.#uses.get(keyId) === usedAtMs) return;
    if (this.#uses.size < maxKeys || this.#uses.has(keyId)) this.#uses.set(keyId, usedAtMs);
  }

  async tick(): Promise<void> {
    if (this.#options.clock.monotonicMs() - this.#writtenAtMonotonicMs >= writeEveryMs) await this.write();
  }

  /** Writes all uses that were noted. Uses whose write fails are kept for the next one. */
  async write(): Promise<void> {
    const { store, clock } = this.#options;
    this.#writtenAtMonotonicMs = clock.monotonicMs();
    const uses: KeyUse[] = [...this.#uses].map(([keyId, usedAtMs]) => ({ keyId, usedAtMs }));
    this.#written = new Map();
    for (let from = 0; from < uses.length; from += maxPerWrite) {
      const portion = uses.slice(from, from + maxPerWrite);
      await store.noteKeyUses(portion);
      for (const { keyId, usedAtMs } of portion) {
        this.#written.set(keyId, usedAtMs);
        if (this.#uses.get(keyId) === usedAtMs) this.#uses.delete(keyId);
      }
    }
  }
}
