import { StartupError, StoreUnavailableError } from "../../../domain/errors.ts";
import { decodeId, encodeId, KeySequence, useKeys } from "../../../domain/ids.ts";
import { raisedRate } from "../../../domain/sources/rate-division.ts";
import type { IdPrefix } from "../../../domain/ids.ts";
import type { ClusterView, Instance, InstanceStore, Shares, Sweep } from "../../../ports/stores/instance-store.ts";
import { watchThroughMark } from "../../sql/call-marks.ts";
import type { Row } from "../../sql/rows.ts";
import { flag, id, idOrNull, integer, integerOrNull, keyOrNull, text, textOrNull, watchOf } from "../../sql/rows.ts";
import type { DatabaseClock } from "../connection/database-clock.ts";
import type { Database } from "../connection/database.ts";
import type { Transaction } from "../connection/transaction.ts";
import { findFreeSlot, maxInstances, newestKey } from "../keys/id-slots.ts";
import { manualRetryPending } from "../deliveries/manual-retries.ts";
import { releaseLeasesOf } from "../deliveries/claims.ts";
import { isStatus } from "../reading/page.ts";
import { feedHorizon, decodeFeedPosition, feedPositionOf, newestInFeed } from "../reading/feed.ts";
import { claimUnowned, countOwned, countUnowned, deadOwners, listOwned } from "../calls/unowned-calls.ts";
import { disabledAccounts } from "../../sql/accounts/account-state.ts";
import { readWatchedCalls, releaseUnwatched } from "../calls/watched-calls.ts";
import { gateOf, gatesAfter } from "./source-gates.ts";

export type InstancesOptions = {
  readonly db: Database;
  readonly clock: DatabaseClock;
  /** Signals other instances: instances joined or left, calls became unowned, or deliveries are due. */
  readonly notifyPeers: (what: "instances" | "calls" | "deliveries") => void;
};

/** Advisory lock under which an instance raises its rates; an arbitrary number. */
const ratesLockKey = 7_464_622_226;

const nowMs = "(extract(epoch from clock_timestamp()) * 1000)::double precision";

/** The store of instances: their rows, calls and leases. The token of every write is `db.owner.token`. */
export class Instances implements InstanceStore {
  readonly #options: InstancesOptions;
  #gateVersion = 0;
  #hasJoined = false;

  constructor(options: InstancesOptions) {
    this.#options = options;
  }

  async join({ version, leaseMs, shares }: Parameters<InstanceStore["join"]>[0]): Promise<ClusterView> {
    const { db, clock, notifyPeers } = this.#options;
    const sentAtMonotonicMs = clock.monotonicMs();
    const { rows, keys } = await db.transaction(async (tx) => {
      const slot = await this.#takeSlot(tx);
      // Gate states from before all instances ended are outdated and measured again.
      await tx.run("delete from source_gates where not exists (select 1 from instances where lease_until > clock_timestamp())");
      const joined = await tx.all(
        `with me as (
           insert into instances (slot, lease_until, version, shares, key_ids)
           values ($5, clock_timestamp() + $1::integer * interval '1 millisecond', $2, $3::jsonb, $4)
           returning token, shares, key_ids)
         select token, shares, key_ids, ${nowMs} as now_ms from me
         union all
         select token, shares, key_ids, null from instances where lease_until > clock_timestamp()`,
        leaseMs,
        version,
        JSON.stringify(shares),
        db.owner.keyIds ?? [],
        slot,
      );
      const row = await tx.get(`select ${newestKey} as newest`);
      return { rows: joined, keys: new KeySequence(slot, integer(row ?? {}, "newest")) };
    });
    useKeys(keys);
    this.#hasJoined = true;
    const token = integer(rows.find((row) => row["now_ms"] !== null) ?? {}, "token");
    db.owner.token = token;
    this.#gateVersion = 0;
    const view = this.#toClusterView(token, rows, sentAtMonotonicMs);
    notifyPeers("instances");
    return view;
  }

  async heartbeat({ leaseMs, shares }: Parameters<InstanceStore["heartbeat"]>[0]): ReturnType<InstanceStore["heartbeat"]> {
    const { db, clock } = this.#options;
    const token = this.#token;
    const sentAtMonotonicMs = clock.monotonicMs();
    // One statement, so that an idle instance costs little. Its view of the other instances may be slightly old.
    const rows = await db.all(
      `with me as (
         update instances set lease_until = clock_timestamp() + $2::integer * interval '1 millisecond', shares = $3::jsonb where token = $1
         returning token, shares, key_ids)
       select token, shares, key_ids, ${nowMs} as now_ms from me
       union all
       select token, shares, key_ids, null from instances where token <> $1 and lease_until > clock_timestamp()`,
      token,
      leaseMs,
      JSON.stringify(shares),
    );
    const own = rows.find((row) => row["token"] === token);
    if (own === undefined) {
      db.owner.token = null;
      return { kind: "fenced" };
    }
    return this.#toClusterView(token, rows, sentAtMonotonicMs);
  }

  async raiseRates(wanted: Parameters<InstanceStore["raiseRates"]>[0]): Promise<Readonly<Record<string, number>>> {
    return this.#options.db.ownerTransaction(async (tx, token) => {
      await tx.run("select pg_advisory_xact_lock($1)", ratesLockKey);
      // A statement after the lock, so that it reads what the previous holder committed.
      const rows = await tx.all("select token, shares, key_ids from instances where token = $1 or lease_until > clock_timestamp()", token);
      const instances = rows.map(instanceOf);
      const own = instances.find((instance) => instance.token === token)?.shares ?? {};
      const others = instances.filter((instance) => instance.token !== token);
      const granted = Object.entries(wanted).map(([name, { wantedPerSecond, limitPerSecond }]) => {
        const othersPerSecond = others.reduce((sum, { shares }) => sum + (shares[name]?.ratePerSecond ?? 0), 0);
        const publishedPerSecond = own[name]?.ratePerSecond ?? 0;
        return [name, raisedRate({ limitPerSecond, wantedPerSecond, publishedPerSecond, othersPerSecond })] as const;
      });
      const shares = Object.fromEntries(granted.map(([name, ratePerSecond]) => [name, { ...own[name], ratePerSecond }]));
      await tx.run("update instances set shares = shares || $2::jsonb where token = $1", token, JSON.stringify(shares));
      return Object.fromEntries(granted);
    });
  }

  async sweep(): Promise<Sweep> {
    const { db, clock } = this.#options;
    const sentAtMonotonicMs = clock.monotonicMs();
    const row = await db.get(
      `select ${nowMs} as now_ms,
         ${newestInFeed} as feed_position,
         exists (select 1 from hosts where next_due_at <= $2 and (paused_until is null or paused_until <= $2))
           or exists (select 1 from hosts where failing_due_at <= $2 and (paused_until is null or paused_until <= $2))
           or exists (select 1 from deliveries where ${manualRetryPending}) as is_due,
         (select array_agg(id) from calls where owner_token = $1 and touched_at is not null) as touched,
         (select array_agg(id) from deliveries where lease_owner = $1 and lease_token is not null and status <> 'pending') as settled,
         (select array_agg(distinct d.endpoint_id) from deliveries d join endpoints p on p.id = d.endpoint_id join hosts h on h.id = p.host_id
          where d.lease_owner = $1 and d.lease_token is not null and (p.state <> 'enabled' or greatest(p.paused_until, h.paused_until) > $2)) as closed,
         ${gatesAfter("$3")} as gates,
         (select json_agg(token) from instances where token <> $1 and lease_until < clock_timestamp()) as expired,
         exists (select 1 from calls where watched and owner_token is null) or exists (${deadOwners}) as has_free,
         (select json_agg(id) from (${disabledAccounts}) disabled) as disabled,
         (select coalesce(sum(revision), 0) from sources) as source_revisions`,
      this.#token,
      clock.nowMs(),
      this.#gateVersion,
    );
    if (row === undefined) throw new Error("a select without a table returned no row");
    clock.recordDatabaseTime(row["now_ms"] as number, sentAtMonotonicMs);
    const gates = ((row["gates"] ?? []) as readonly Row[]).map(gateOf);
    for (const gate of gates) this.#gateVersion = Math.max(this.#gateVersion, gate.suspensionVersion, gate.throttleVersion);
    return {
      feedPosition: text(row, "feed_position"),
      isDeliveryDue: flag(row, "is_due"),
      dirtyCallIds: idsOf("call", row["touched"]),
      settledDeliveryIds: idsOf("dlv", row["settled"]),
      closedEndpointIds: idsOf("ep", row["closed"]),
      gates,
      expiredTokens: (row["expired"] ?? []) as readonly number[],
      hasUnownedCalls: flag(row, "has_free"),
      disabledAccountIds: idsOf("acc", row["disabled"]),
      sourceRevisions: integer(row, "source_revisions"),
    };
  }

  async listNotices({ position, limit }: Parameters<InstanceStore["listNotices"]>[0]): ReturnType<InstanceStore["listNotices"]> {
    const rows = await this.#options.db.all(
      `select feed_order, position, account_id, watch_id, call_sid, sequence, type from events
       where (feed_order, position) > ($1, $2) and feed_order < ${feedHorizon} order by feed_order, position limit $3`,
      ...decodeFeedPosition(position),
      limit,
    );
    const last = rows.at(-1);
    return {
      notices: rows.map((row) => ({
        accountId: id(row, "acc", "account_id"),
        watchId: idOrNull(row, "wch", "watch_id"),
        callSid: textOrNull(row, "call_sid"),
        sequence: integerOrNull(row, "sequence"),
        eventType: text(row, "type"),
      })),
      position: last === undefined ? position : feedPositionOf(last),
      more: rows.length === limit,
    };
  }

  async listEnded(watchIds: readonly string[]): Promise<readonly string[]> {
    const rows = await this.#options.db.all(
      `select w.*, c.source_name, c.call_sid, c.mark as c_mark, null as callback_url from watches w join calls c on c.id = w.call_id
       where w.id = any($1) and ${isStatus("w.status", "active")}`,
      watchIds.map(decodeId),
    );
    const watches = rows.map((row) => watchThroughMark(watchOf(row), row));
    const active = new Set(watches.filter(({ status }) => status === "active").map((watch) => decodeId(watch.id)));
    return watchIds.filter((watchId) => !active.has(decodeId(watchId)));
  }

  async loadOwnedCalls(callIds: readonly string[]): ReturnType<InstanceStore["loadOwnedCalls"]> {
    const callKeys = callIds.map(decodeId);
    return this.#options.db.ownerTransaction(async (tx, token) => {
      // After this update a concurrent touch is either visible to the next statement or sets touched_at again.
      await tx.run(
        `update calls set touched_at = null, owner_token = case when watched then owner_token end
         where id = any($1) and owner_token = $2 and (touched_at is not null or not watched)`,
        callKeys,
        token,
      );
      return readOwned(tx, token, callKeys);
    });
  }

  countUnownedCalls(): ReturnType<InstanceStore["countUnownedCalls"]> {
    return countUnowned(this.#options.db);
  }

  countOwnedCalls(...[sourceName, tokens]: Parameters<InstanceStore["countOwnedCalls"]>): ReturnType<InstanceStore["countOwnedCalls"]> {
    return countOwned(this.#options.db, sourceName, tokens);
  }

  async listOwnedCallIds({ afterCallId, limit }: Parameters<InstanceStore["listOwnedCallIds"]>[0]): Promise<readonly string[]> {
    const keys = await listOwned(this.#options.db, this.#token, keyOrNull(afterCallId) ?? -1, limit);
    return keys.map((key) => encodeId("call", key));
  }

  claimCalls(request: Parameters<InstanceStore["claimCalls"]>[0]): ReturnType<InstanceStore["claimCalls"]> {
    return this.#options.db.ownerTransaction(async (tx, token) => {
      const claimed = await claimUnowned(tx, token, request);
      const watched = await readWatchedCalls(tx, claimed);
      // No instance polls what disabled accounts alone watch.
      await releaseUnwatched(tx, claimed, watched);
      return watched;
    });
  }

  async listLeases(): ReturnType<InstanceStore["listLeases"]> {
    const rows = await this.#options.db.all(
      "select id, lease_token from deliveries where lease_owner = $1 and lease_token is not null",
      this.#token,
    );
    return rows.map((row) => ({ deliveryId: id(row, "dlv", "id"), leaseToken: integer(row, "lease_token") }));
  }

  async evict(tokens: readonly number[]): Promise<number> {
    const { db, clock, notifyPeers } = this.#options;
    const evicted = await db.transaction((tx) => evictExpired(tx, tokens, clock.nowMs()));
    for (const what of ["calls", "deliveries", "instances"] as const) if (evicted.length > 0) notifyPeers(what);
    return evicted.length;
  }

  async leave(): Promise<void> {
    const { db, clock, notifyPeers } = this.#options;
    const { token } = db.owner;
    if (token === null) return;
    await db.transaction(async (tx) => {
      await tx.run("delete from instances where token = $1", token);
      await releaseLeasesOf(tx, [token], clock.nowMs());
    });
    db.owner.token = null;
    for (const what of ["calls", "deliveries", "instances"] as const) notifyPeers(what);
  }

  /**
   * Returns a free slot. If there is none, evicts the instance whose lease ended first: after many crashes no instance may
   * have lived long enough to evict the others.
   */
  async #takeSlot(tx: Transaction): Promise<number> {
    const free = await findFreeSlot(tx);
    if (free !== null) return free;
    const expired = await tx.all("select token from instances where lease_until < clock_timestamp() order by lease_until limit 1");
    const tokens = expired.map((row) => integer(row, "token"));
    const freed = (await evictExpired(tx, tokens, this.#options.clock.nowMs())).length > 0 ? await findFreeSlot(tx) : null;
    if (freed !== null) return freed;
    const message = `${maxInstances} instances share the database, which is the maximum: stop one of them first`;
    throw this.#hasJoined ? new StoreUnavailableError(message) : new StartupError(message);
  }

  /** Maps the rows of all live instances. The row of this instance carries the time of the database. */
  #toClusterView(token: number, rows: readonly Row[], sentAtMonotonicMs: number): ClusterView {
    const { db, clock } = this.#options;
    for (const row of rows) if (row["now_ms"] !== null) clock.recordDatabaseTime(row["now_ms"] as number, sentAtMonotonicMs);
    db.owner.hasPeers = rows.length > 1;
    return { kind: "alive", token, instances: rows.map(instanceOf).toSorted((a, b) => a.token - b.token) };
  }

  get #token(): number {
    const { token } = this.#options.db.owner;
    // No row has a negative token.
    return token ?? -1;
  }
}

/** Deletes those of the instances whose lease has ended, releases their deliveries and returns their tokens. */
async function evictExpired(tx: Transaction, tokens: readonly number[], nowMs: number): Promise<readonly number[]> {
  // A transaction of the instance locks its row until the commit; such a row is skipped and found by the next sweep.
  const rows = await tx.all(
    `delete from instances where token in (
       select token from instances where token = any($1) and lease_until < clock_timestamp() order by token for update skip locked)
     returning token`,
    tokens,
  );
  const gone = rows.map((row) => integer(row, "token"));
  if (gone.length > 0) await releaseLeasesOf(tx, gone, nowMs);
  return gone;
}

async function readOwned(tx: Transaction, token: number, callKeys: readonly number[]) {
  const owned = await tx.all("select id from calls where id = any($1) and owner_token = $2 and watched", callKeys, token);
  return readWatchedCalls(
    tx,
    owned.map((row) => integer(row, "id")),
  );
}

function idsOf(prefix: IdPrefix, keys: unknown): readonly string[] {
  return ((keys ?? []) as readonly number[]).map((key) => encodeId(prefix, key));
}

function instanceOf(row: Row): Instance {
  return { token: integer(row, "token"), shares: row["shares"] as Shares, keyIds: row["key_ids"] as readonly string[] };
}
