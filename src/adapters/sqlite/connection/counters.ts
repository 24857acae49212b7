import type { WatchStatus } from "../../../domain/calls/watch.ts";
import type { DeliveryStatus } from "../../../domain/deliveries/delivery.ts";
import type { SqlTransaction } from "../../sql/queries.ts";

/** Columns of account_usage. */
export type UsageColumn = "endpoints" | WatchStatus;

type Changes = {
  readonly usage: Map<number, Map<UsageColumn, number>>;
  readonly deliveries: Map<DeliveryStatus, number>;
  readonly unleased: Map<number, number>;
};

/**
 * Differences that the open transaction makes to account_usage, delivery_counts and the backlogs of endpoints. An operation
 * that inserts rows or changes their status or lease counts them here; the transaction adds the sums once, before its commit. Deletions are counted by triggers,
 * because foreign keys delete rows that no statement names.
 */
export class Counters {
  #changes: Changes = noChanges();

  /** Counts watches whose status changes; `from` is `null` for new ones. */
  countWatches(accountKey: number, from: WatchStatus | null, to: WatchStatus, count = 1): void {
    if (from !== null) this.#countUsage(accountKey, from, -count);
    this.#countUsage(accountKey, to, count);
  }

  countNewEndpoint(accountKey: number): void {
    this.#countUsage(accountKey, "endpoints", 1);
  }

  /** Counts deliveries whose status changes; `from` is `null` for new ones. */
  countDeliveries(from: DeliveryStatus | null, to: DeliveryStatus, count = 1): void {
    if (from !== null) add(this.#changes.deliveries, from, -count);
    add(this.#changes.deliveries, to, count);
  }

  /** Counts deliveries of an endpoint that become pending without a lease; a negative number are so no longer. */
  countUnleased(endpointKey: number, difference: number): void {
    add(this.#changes.unleased, endpointKey, difference);
  }

  /** Returns what the open transaction adds to a counter of an account. */
  usageChange(accountKey: number, column: UsageColumn): number {
    return this.#changes.usage.get(accountKey)?.get(column) ?? 0;
  }

  /** Writes the differences and forgets them. A commit follows. */
  write(db: Pick<SqlTransaction, "run">): void {
    for (const [accountKey, columns] of this.#changes.usage) {
      const changed = [...columns].filter(([, difference]) => difference !== 0);
      if (changed.length === 0) continue;
      const sets = changed.map(([column]) => `${column} = ${column} + ?`).join(", ");
      db.run(`update account_usage set ${sets} where account_id = ?`, ...changed.map(([, difference]) => difference), accountKey);
    }
    for (const [status, difference] of this.#changes.deliveries)
      if (difference !== 0) db.run("update delivery_counts set n = n + ? where status = ?", difference, status);
    for (const [endpointKey, difference] of this.#changes.unleased)
      if (difference !== 0) db.run("update endpoints set unleased = unleased + ? where id = ?", difference, endpointKey);
    this.forget();
  }

  /** Forgets the differences of a transaction that was rolled back. */
  forget(): void {
    const { usage, deliveries, unleased } = this.#changes;
    if (usage.size > 0 || deliveries.size > 0 || unleased.size > 0) this.#changes = noChanges();
  }

  /** Returns the differences until now, for `restore` after a roll-back to the savepoint that follows. */
  save(): Changes {
    return {
      usage: new Map([...this.#changes.usage].map(([accountKey, columns]) => [accountKey, new Map(columns)])),
      deliveries: new Map(this.#changes.deliveries),
      unleased: new Map(this.#changes.unleased),
    };
  }

  restore(saved: Changes): void {
    this.#changes = saved;
  }

  #countUsage(accountKey: number, column: UsageColumn, difference: number): void {
    let columns = this.#changes.usage.get(accountKey);
    if (columns === undefined) this.#changes.usage.set(accountKey, (columns = new Map<UsageColumn, number>()));
    add(columns, column, difference);
  }
}

function noChanges(): Changes {
  return { usage: new Map(), deliveries: new Map(), unleased: new Map() };
}

function add<Key>(sums: Map<Key, number>, key: Key, difference: number): void {
  sums.set(key, (sums.get(key) ?? 0) + difference);
}
