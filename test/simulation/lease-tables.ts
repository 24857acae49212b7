import type { StatementSync } from "node:sqlite";
import { encodeId } from "./engine-adapter.ts";
import type {
  DatabaseSync,
  IdPrefix,
  GateState,
  InstanceSignal,
  Notice,
  ServiceStore,
  Shares,
  SendJob,
  WatchedCall,
} from "./engine-adapter.ts";
import type { Random } from "./random.ts";
import type { Lifetime, Scheduler } from "./scheduler.ts";

export type LeasedStoreParts = {
  readonly scheduler: Scheduler;
  readonly random: Random;
  /** Opens the one store below. */
  readonly open: () => Promise<ServiceStore>;
  readonly connection: () => DatabaseSync | null;
  /** How the way to the database is at the moment. */
  readonly trouble: () => "none" | "away" | "answers_lost";
  /** Called when an instance was evicted. */
  readonly onEvicted: (lifetime: Lifetime) => void;
  /** A planted bug: an instance that was evicted writes what it likes. */
  readonly isFenceless: boolean;
};

export type Member = {
  readonly lifetime: Lifetime;
  leaseUntilMs: number;
  shares: Shares;
  gateVersion: number;
  readonly dirty: Set<string>;
  readonly onSignal: (what: ReadonlySet<InstanceSignal>) => void;
};

/** One instance's connection. */
export type Seat = {
  readonly lifetime: Lifetime;
  token: number | null;
  rejoin: (() => Promise<void>) | null;
  rejoining: Promise<void> | null;
  onUnavailable: () => void;
  onSignal: (what: ReadonlySet<InstanceSignal>) => void;
};

const signalsLost = 0.1;
/** Owner of calls that an instance released when it stopped. */
const stoppedToken = 0;

/** What Postgres keeps in its tables of instances, ownership and leases: here it is a fake, in memory. */
export class LeaseTables {
  readonly #parts: LeasedStoreParts;
  store: ServiceStore | null = null;
  readonly members = new Map<number, Member>();
  readonly owners = new Map<string, number>();
  readonly leases = new Map<number, { readonly token: number; readonly deliveryId: string }>();
  readonly gates = new Map<string, GateState>();
  readonly notices: Notice[] = [];
  #statements: { readonly connection: DatabaseSync | null; readonly bySql: Map<string, StatementSync> } = {
    connection: null,
    bySql: new Map(),
  };
  lastToken = 0;
  gateVersion = 0;

  constructor(parts: LeasedStoreParts) {
    this.#parts = parts;
  }

  /** After a registration: returns the call if this instance owns it or adopts it now; otherwise marks it as dirty for its owner. */
  registeredCall(seat: Seat, call: WatchedCall): WatchedCall | null {
    if (this.#touchOfPeer(seat, call.callId)) return null;
    if (seat.token !== null) this.owners.set(call.callId, seat.token);
    return call;
  }

  /**
   * After watches of a call ended: returns the call if this instance owns it. A removal adopts nothing: a call without an owner
   * is left to those who claim. A call without an active watch (`null`) loses its owner.
   */
  settledCall(seat: Seat, callId: string, call: WatchedCall | null): WatchedCall | null {
    if (this.#touchOfPeer(seat, callId) || this.owners.get(callId) !== seat.token) return null;
    if (call === null) this.owners.delete(callId);
    return call;
  }

  /** Marks a call of another live instance as dirty, so that its owner reads it again; false if it has no such owner. */
  #touchOfPeer(seat: Seat, callId: string): boolean {
    const owner = this.owners.get(callId);
    const member = owner === undefined || owner === seat.token ? undefined : this.members.get(owner);
    if (member === undefined) return false;
    member.dirty.add(callId);
    this.signal(seat, "calls");
    return true;
  }

  /** Records the owner of leased jobs, and the notices that other instances read. */
  lease(seat: Seat, jobs: readonly SendJob[], notices: readonly Notice[]): void {
    const token = seat.token ?? -1;
    for (const { leaseToken, deliveryId } of jobs) this.leases.set(leaseToken, { token, deliveryId });
    this.notices.push(...notices);
    if (notices.length > 0) this.signal(seat, "events");
    // It was evicted between the commit and its answer: what it was leased is free again.
    if (jobs.length > 0 && !this.members.has(token) && !this.#parts.isFenceless) void this.releaseLeasesOf(token);
  }

  releaseCalls(seat: Seat, calls: readonly { readonly callId: string }[], why: "balance" | "stop"): void {
    for (const { callId } of calls)
      if (this.owners.get(callId) === seat.token)
        if (why === "stop") this.owners.set(callId, stoppedToken);
        else this.owners.delete(callId);
    this.signal(seat, "calls");
  }

  /** Deletes an instance, which frees its calls and leases. */
  async remove(token: number): Promise<void> {
    const member = this.members.get(token);
    this.members.delete(token);
    if (member !== undefined) this.#parts.onEvicted(member.lifetime);
    await this.releaseLeasesOf(token);
  }

  async releaseLeasesOf(token: number): Promise<void> {
    const leases = [...this.leases].filter(([, lease]) => lease.token === token);
    for (const [leaseToken] of leases) this.leases.delete(leaseToken);
    await this.realStore.releaseDeliveries(
      leases.map(([leaseToken, { deliveryId }]) => ({ deliveryId, leaseToken })),
      this.#parts.scheduler.wallMs,
    );
  }

  /** Signals the other instances; some signals are lost. */
  signal(from: Seat, what: InstanceSignal): void {
    const { scheduler, random } = this.#parts;
    for (const [token, { lifetime, onSignal }] of this.members)
      if (token !== from.token && !random.chance(signalsLost))
        scheduler.schedule(random.latencyMs(3, 50), () => onSignal(new Set([what])), lifetime);
  }

  watchedCalls(): Promise<readonly WatchedCall[]> {
    return this.realStore.loadWatchedCalls({ afterCallId: null, limit: 100_000 });
  }

  async unowned(): Promise<readonly WatchedCall[]> {
    return (await this.watchedCalls()).filter(({ callId }) => this.isUnowned(callId));
  }

  /** Asked at every sweep, so only for the keys of calls. */
  hasUnowned(): boolean {
    const rows = this.#prepared("select distinct call_id as id from watches where status = 'active'")?.all() ?? [];
    return rows.some(({ id }) => this.isUnowned(encodeId("call", id as number)));
  }

  /** Whether an instance that is gone left the call. */
  isLeft(callId: string): boolean {
    return this.isUnowned(callId) && this.owners.has(callId);
  }

  isUnowned(callId: string): boolean {
    const owner = this.owners.get(callId);
    return owner === undefined || !this.members.has(owner);
  }

  /** The ids of rows whose keys a statement selects as `id`. `value` is its parameter, a list of keys as JSON. */
  select(prefix: IdPrefix, sql: string, value: readonly number[]): readonly string[] {
    const rows = this.#prepared(sql)?.all(JSON.stringify(value)) ?? [];
    return rows.map(({ id }) => encodeId(prefix, id as number));
  }

  leaseTokens(sql: string): readonly number[] {
    return (this.#prepared(sql)?.all() ?? []).map(({ id }) => id as number);
  }

  /** A statement is prepared once for each connection. */
  #prepared(sql: string): StatementSync | undefined {
    const connection = this.#parts.connection();
    if (connection !== this.#statements.connection) this.#statements = { connection, bySql: new Map() };
    const { bySql } = this.#statements;
    const statement = bySql.get(sql) ?? connection?.prepare(sql);
    if (statement !== undefined) bySql.set(sql, statement);
    return statement;
  }

  get realStore(): ServiceStore {
    if (this.store === null) throw new Error("the store is not open yet");
    return this.store;
  }

  get nowMs(): number {
    return this.#parts.scheduler.nowMs;
  }
}
