import type { WatchStatus } from "../../../domain/calls/watch.ts";
import type { DeliveryStatus } from "../../../domain/deliveries/delivery.ts";
import { countOf, countSpanMs, countStart } from "../../../domain/deliveries/success-rate.ts";
import type { AttemptCount } from "../../../domain/deliveries/success-rate.ts";
import { kindOfAttempt, kindOfEvent } from "../../../domain/activity.ts";
import type { RingbackEvent } from "../../../domain/events/event.ts";
import { decodeId } from "../../../domain/ids.ts";
import type { AttemptDecision } from "../../../domain/deliveries/attempt.ts";
import type { SqlTransaction } from "../../sql/queries.ts";

/** Columns of account_usage. */
export type UsageColumn = "endpoints" | WatchStatus;

type Changes = {
  readonly usage: Map<number, Map<UsageColumn, number>>;
  readonly deliveries: Map<DeliveryStatus, number>;
  readonly unleased: Map<number, number>;
  /** Attempts by endpoint, one entry for each span of time. A transaction has one or two spans. */
  readonly attempts: Map<number, AttemptsOfEndpoint[]>;
  /** Activity by account, time and kind. */
  readonly activity: Map<string, ActivityOfAccount>;
};

type AttemptsOfEndpoint = Omit<AttemptCount, "succeeded" | "failed"> & {
  readonly endpointKey: number;
  succeeded: number;
  failed: number;
};
type ActivityOfAccount = { readonly accountKey: number; readonly atMs: number; readonly kind: number; n: number };

// An endpoint may have been deleted after its attempt in the same transaction.
const addAttempts = `insert into endpoint_attempts (endpoint_id, at, span, succeeded, failed)
  select value ->> 'endpointKey', value ->> 'atMs', value ->> 'spanMs', value ->> 'succeeded', value ->> 'failed' from json_each(?1)
  where exists (select 1 from endpoints p where p.id = value ->> 'endpointKey')
  on conflict (endpoint_id, at, span) do update set succeeded = succeeded + excluded.succeeded, failed = failed + excluded.failed`;

const addActivity = `insert into account_activity (account_id, at, span, kind, n)
  select value ->> 'accountKey', value ->> 'atMs', ${countSpanMs}, value ->> 'kind', value ->> 'n' from json_each(?1)
  where exists (select 1 from accounts a where a.id = value ->> 'accountKey')
  on conflict (account_id, at, span, kind) do update set n = n + excluded.n`;

/**
 * Differences that the open transaction makes to account_usage, delivery_counts, the backlogs of endpoints and their attempts. An operation
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

  /** Counts a watch that no counter counts any more, although its row is not deleted yet. */
  countPurged(accountKey: number, from: WatchStatus): void {
    this.#countUsage(accountKey, from, -1);
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

  /** Counts an attempt of an endpoint that ended at this time, of a delivery of the account that was written at `createdAtMs`. */
  countAttempt(
    endpointKey: number,
    decision: AttemptDecision,
    {
      accountKey,
      createdAtMs,
      endedAtMs,
      hadArrived,
    }: { readonly accountKey: number; readonly createdAtMs: number; readonly endedAtMs: number; readonly hadArrived: boolean },
  ): void {
    const kind = kindOfAttempt(decision, endedAtMs - createdAtMs, hadArrived);
    if (kind !== null) this.#countActivity(accountKey, kind, endedAtMs);
    const count = countOf(decision, endedAtMs);
    const spans = this.#changes.attempts.get(endpointKey);
    const span = spans?.find(({ atMs }) => atMs === count.atMs);
    if (span !== undefined) {
      span.succeeded += count.succeeded;
      span.failed += count.failed;
    } else if (spans === undefined) this.#changes.attempts.set(endpointKey, [{ ...count, endpointKey }]);
    else spans.push({ ...count, endpointKey });
  }

  /** Counts an event that is a transition. */
  countEvent(event: RingbackEvent, nowMs: number): void {
    const kind = kindOfEvent(event);
    if (kind !== null) this.#countActivity(decodeId(event.accountId), kind, nowMs);
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
    if (this.#changes.attempts.size > 0) db.run(addAttempts, JSON.stringify([...this.#changes.attempts.values()].flat()));
    if (this.#changes.activity.size > 0) db.run(addActivity, JSON.stringify([...this.#changes.activity.values()]));
    this.forget();
  }

  /** Forgets the differences of a transaction that was rolled back. */
  forget(): void {
    const { usage, deliveries, unleased, attempts, activity } = this.#changes;
    if (usage.size > 0 || deliveries.size > 0 || unleased.size > 0 || attempts.size > 0 || activity.size > 0) this.#changes = noChanges();
  }

  /** Returns the differences until now, for `restore` after a roll-back to the savepoint that follows. */
  save(): Changes {
    return {
      usage: new Map([...this.#changes.usage].map(([accountKey, columns]) => [accountKey, new Map(columns)])),
      deliveries: new Map(this.#changes.deliveries),
      unleased: new Map(this.#changes.unleased),
      attempts: new Map([...this.#changes.attempts].map(([endpointKey, spans]) => [endpointKey, spans.map((span) => ({ ...span }))])),
      activity: new Map([...this.#changes.activity].map(([key, count]) => [key, { ...count }])),
    };
  }

  restore(saved: Changes): void {
    this.#changes = saved;
  }

  #countActivity(accountKey: number, kind: number, atMs: number): void {
    const startMs = countStart(atMs);
    const key = `${accountKey} ${startMs} ${kind}`;
    const before = this.#changes.activity.get(key);
    if (before === undefined) this.#changes.activity.set(key, { accountKey, atMs: startMs, kind, n: 1 });
    else before.n += 1;
  }

  #countUsage(accountKey: number, column: UsageColumn, difference: number): void {
    let columns = this.#changes.usage.get(accountKey);
    if (columns === undefined) this.#changes.usage.set(accountKey, (columns = new Map<UsageColumn, number>()));
    add(columns, column, difference);
  }
}

function noChanges(): Changes {
  return { usage: new Map(), deliveries: new Map(), unleased: new Map(), attempts: new Map(), activity: new Map() };
}

function add<Key>(sums: Map<Key, number>, key: Key, difference: number): void {
  sums.set(key, (sums.get(key) ?? 0) + difference);
}
