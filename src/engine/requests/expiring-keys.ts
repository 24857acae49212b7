import { keyExpiringMs } from "../../domain/secrets/key-scopes.ts";
import type { Clock } from "../../ports/clock.ts";
import type { CommitListener } from "../../ports/commit-listener.ts";
import type { AccountStore } from "../../ports/stores/account-store.ts";

export type ExpiringKeysOptions = {
  readonly store: Pick<AccountStore, "announceExpiringKeys">;
  readonly clock: Pick<Clock, "nowMs">;
  readonly listeners: readonly CommitListener[];
  /** Whether this process searches for such keys. One of several instances does. */
  readonly isInCharge: () => boolean;
};

const batchSize = 50;

/**
 * Publishes `key.expiring` a week before the end of a key. The transaction that writes the event marks the key, so that a
 * crash neither loses nor repeats it.
 */
export class ExpiringKeys {
  readonly #options: ExpiringKeysOptions;
  /** A key that the command line creates with less than a week is announced within this time. */
  readonly tickEveryMs = 20_000;

  constructor(options: ExpiringKeysOptions) {
    this.#options = options;
  }

  async tick(): Promise<void> {
    if (this.#options.isInCharge()) await this.announce();
  }

  /** Announces at once what expires soon, after a key was created here. */
  async announce(): Promise<void> {
    const { store, clock, listeners } = this.#options;
    for (;;) {
      const nowMs = clock.nowMs();
      const published = await store.announceExpiringKeys({ beforeMs: nowMs + keyExpiringMs, nowMs, limit: batchSize });
      if (published.announced > 0) for (const listener of listeners) listener.committed(published);
      if (published.announced < batchSize) return;
    }
  }
}
