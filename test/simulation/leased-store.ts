import { InstanceFencedError, StoreUnavailableError, openStoreOn, raisedRate } from "./engine-adapter.ts";
import type {
  DatabaseSync,
  GateState,
  InstanceSignal,
  OpenStore,
  ServiceStore,
  SharedParts,
  Shares,
  SendJob,
  Sweep,
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

type Member = {
  readonly lifetime: Lifetime;
  leaseUntilMs: number;
  shares: Shares;
  gateVersion: number;
  readonly dirty: Set<string>;
  readonly onSignal: (what: ReadonlySet<InstanceSignal>) => void;
};

/** One instance's connection. */
type Seat = {
  readonly lifetime: Lifetime;
  token: number | null;
  rejoin: (() => Promise<void>) | null;
  rejoining: Promise<void> | null;
  onUnavailable: () => void;
  onSignal: (what: ReadonlySet<InstanceSignal>) => void;
};

const unavailableAfterMs = 500;
const signalsLost = 0.1;

/** Writes that only the instance that holds a lease may make. */
const fenced: ReadonlySet<string> = new Set(["claimDue", "recordAttempt", "claimManualRetry", "createTest", "publishSourceEvent"]);
/** Writes that any registered instance may make: after an eviction it joins again and repeats them. */
const registered: ReadonlySet<string> = new Set([
  "registerWatches",
  "registerHook",
  "removeWatch",
  "removeHook",
  "patchEndpoint",
  "recover",
  "rotateSecret",
]);

/**
 * Several instances on one store, with a FAKE of the leases alone: calls, deliveries and everything else are the rows of the
 * one real SQLite store below, while instances, ownership of calls, owners of delivery leases, signals and gates are kept
 * here as Postgres keeps them in its tables. What it proves is the engine's side: heartbeats, fencing, a frozen instance
 * that wakes, answers that are lost, the division of rates. The SQL of the Postgres store is proven by its own suites.
 */
export class LeasedStore {
  readonly #parts: LeasedStoreParts;
  #store: ServiceStore | null = null;
  readonly #members = new Map<number, Member>();
  readonly #owners = new Map<string, number>();
  readonly #leases = new Map<number, { readonly token: number; readonly deliveryId: string }>();
  readonly #gates = new Map<string, GateState>();
  readonly #notices: {
    readonly accountId: string;
    readonly watchId: string | null;
    readonly sequence: number | null;
    readonly eventType: string;
  }[] = [];
  #lastToken = 0;
  #gateVersion = 0;

  constructor(parts: LeasedStoreParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    this.#store = await this.#parts.open();
  }

  /** The store as one process has it. */
  openFor(lifetime: Lifetime): OpenStore {
    const seat: Seat = { lifetime, token: null, rejoin: null, rejoining: null, onUnavailable: () => undefined, onSignal: () => undefined };
    const store = this.#storeOf(seat);
    const shared: SharedParts = {
      instances: this.#instancesOf(seat),
      peerNotifier: { signal: (what) => this.#signal(seat, what) },
      listen: (onSignal) => {
        seat.onSignal = onSignal;
      },
      onFenced: (rejoin) => {
        seat.rejoin = rejoin;
      },
      onUnavailable: (listener) => {
        seat.onUnavailable = listener;
      },
    };
    return openStoreOn(store, shared, this.#parts.scheduler.clockOf(lifetime));
  }

  #storeOf(seat: Seat): ServiceStore {
    const real = this.#realStore;
    const operation =
      (name: string) =>
      (...args: readonly unknown[]) =>
        this.#ask(seat, name, () => this.#run(seat, name, real, args));
    return new Proxy(real, {
      get: (target, name: string) => {
        if (name === "fatal") return new Promise(() => undefined);
        if (name === "close") return () => Promise.resolve();
        if (name === "underKey")
          return (claim: Parameters<ServiceStore["underKey"]>[0]) =>
            new Proxy(target.underKey(claim), {
              get:
                (claimed, operationName: string) =>
                (...args: readonly unknown[]) =>
                  this.#ask(seat, operationName, () => this.#runClaimed(seat, operationName, claimed, args)),
            });
        return typeof Reflect.get(target, name) === "function" ? operation(name) : Reflect.get(target, name);
      },
    });
  }

  /** The way there and back, on which a process may freeze or die; what was sent is done whatever became of its sender. */
  async #ask<T>(seat: Seat, name: string, work: () => Promise<T>): Promise<T> {
    const { trouble } = this.#parts;
    await this.#travel(seat);
    const before = trouble();
    if (before === "away") return this.#unavailable(seat);
    const isFenced = this.#isFenced(seat, name);
    if (isFenced && registered.has(name)) await this.#rejoin(seat);
    else if (isFenced) {
      void this.#rejoin(seat);
      throw new InstanceFencedError();
    }
    const result = await work();
    await this.#travel(seat);
    return trouble() === "answers_lost" && this.#parts.random.chance(0.5) ? this.#unavailable(seat) : result;
  }

  #isFenced(seat: Seat, name: string): boolean {
    if (this.#parts.isFenceless || !(fenced.has(name) || registered.has(name)) || seat.rejoin === null) return false;
    return seat.token === null || !this.#members.has(seat.token);
  }

  async #run(seat: Seat, name: string, real: ServiceStore, args: readonly unknown[]): Promise<unknown> {
    const [first] = args as readonly [{ readonly callId?: string }];
    if (name === "commitCall" && !this.#mayCommit(seat, first.callId ?? "")) return { kind: "stale", call: null };
    if (name === "releaseCalls") this.#releaseCalls(seat, args[0] as readonly { readonly callId: string }[]);
    const operation = Reflect.get(real, name) as (...values: readonly unknown[]) => Promise<unknown>;
    return this.#after(seat, name, await operation(...args));
  }

  async #runClaimed(seat: Seat, name: string, claimed: object, args: readonly unknown[]): Promise<unknown> {
    const operation = Reflect.get(claimed, name) as (
      ...values: readonly unknown[]
    ) => Promise<{ readonly kind: string; readonly result?: unknown }>;
    const run = await operation(...args);
    return run.kind === "ran" ? { ...run, result: this.#after(seat, name, run.result) } : run;
  }

  #mayCommit(seat: Seat, callId: string): boolean {
    if (this.#parts.isFenceless) return true;
    return seat.token !== null && this.#members.has(seat.token) && this.#owners.get(callId) === seat.token;
  }

  /** What the tables of Postgres would say after it, and what of the result is this instance's. */
  #after(seat: Seat, name: string, result: unknown): unknown {
    switch (name) {
      case "commitCall": {
        const {
          kind,
          call,
          jobs = [],
          notices = [],
        } = result as { kind: string; call: WatchedCall | null; jobs?: readonly SendJob[]; notices?: readonly Notice[] };
        this.#lease(seat, jobs, notices);
        void kind;
        void call;
        return result;
      }
      case "registerWatches":
        return (result as readonly Registered[]).map((one) => this.#afterRegistration(seat, one));
      case "removeWatch": {
        const removed = result as { kind: string; callId?: string; call?: WatchedCall | null; notices?: readonly Notice[] };
        if (removed.kind !== "removed" || removed.callId === undefined) return result;
        this.#lease(seat, [], removed.notices ?? []);
        this.#signal(seat, "watches");
        return { ...removed, call: this.#callFor(seat, removed.callId, removed.call ?? null) };
      }
      case "loadWatchedCalls":
        return (result as readonly WatchedCall[]).filter(({ callId }) => this.#owners.get(callId) === seat.token);
      default: {
        const {
          jobs = [],
          job,
          notices = [],
          unwatchedCallIds = [],
        } = (result ?? {}) as {
          jobs?: readonly SendJob[];
          job?: SendJob;
          notices?: readonly Notice[];
          unwatchedCallIds?: readonly string[];
        };
        if (Array.isArray(jobs)) this.#lease(seat, job === undefined ? jobs : [...jobs, job], notices);
        for (const callId of unwatchedCallIds) this.#callFor(seat, callId, null);
        return result;
      }
    }
  }

  #afterRegistration(seat: Seat, one: Registered): Registered {
    if (one.kind !== "created") return one;
    this.#lease(seat, one.jobs ?? [], one.notices ?? []);
    return one.call === null || one.call === undefined ? one : { ...one, call: this.#callFor(seat, one.call.callId, one.call) };
  }

  /** The call if it is this instance's, or nobody's so far; another's owner reads it again. */
  #callFor(seat: Seat, callId: string, call: WatchedCall | null): WatchedCall | null {
    const owner = this.#owners.get(callId);
    const member = owner === undefined || owner === seat.token ? undefined : this.#members.get(owner);
    if (member !== undefined) {
      member.dirty.add(callId);
      this.#signal(seat, "calls");
      return null;
    }
    if (call !== null && seat.token !== null) this.#owners.set(callId, seat.token);
    return call;
  }

  #lease(seat: Seat, jobs: readonly SendJob[], notices: readonly Notice[]): void {
    const token = seat.token ?? -1;
    for (const { leaseToken, deliveryId } of jobs) this.#leases.set(leaseToken, { token, deliveryId });
    this.#notices.push(...notices);
    if (notices.length > 0) this.#signal(seat, "events");
    // It was evicted between the commit and its answer: what it was leased is free again.
    if (jobs.length > 0 && !this.#members.has(token) && !this.#parts.isFenceless) void this.#releaseLeasesOf(token);
  }

  #releaseCalls(seat: Seat, calls: readonly { readonly callId: string }[]): void {
    for (const { callId } of calls) if (this.#owners.get(callId) === seat.token) this.#owners.delete(callId);
    this.#signal(seat, "calls");
  }

  #instancesOf(seat: Seat): SharedParts["instances"] {
    const ask = <T>(work: () => T | Promise<T>) => this.#ask(seat, "instances", () => Promise.resolve(work()));
    const view = (token: number) => ({
      kind: "alive" as const,
      token,
      instances: [...this.#members]
        .filter(([other, { leaseUntilMs }]) => other === token || leaseUntilMs > this.#nowMs)
        .map(([other, { shares }]) => ({ token: other, shares, keyIds: [] })),
    });
    return {
      join: ({ leaseMs, shares }) =>
        ask(() => {
          const token = ++this.#lastToken;
          seat.token = token;
          if ([...this.#members.values()].every(({ leaseUntilMs }) => leaseUntilMs <= this.#nowMs)) this.#gates.clear();
          this.#members.set(token, {
            lifetime: seat.lifetime,
            leaseUntilMs: this.#nowMs + leaseMs,
            shares,
            gateVersion: 0,
            dirty: new Set(),
            onSignal: (what) => seat.onSignal(what),
          });
          this.#signal(seat, "instances");
          return view(token);
        }),
      heartbeat: ({ leaseMs, shares }) =>
        ask(() => {
          const member = seat.token === null ? undefined : this.#members.get(seat.token);
          if (member === undefined || seat.token === null) {
            seat.token = null;
            return { kind: "fenced" as const };
          }
          member.leaseUntilMs = this.#nowMs + leaseMs;
          member.shares = shares;
          return view(seat.token);
        }),
      raiseRates: (wanted) => ask(() => this.#raiseRates(seat, wanted)),
      sweep: () => ask(() => this.#sweep(seat)),
      listNotices: ({ position, limit }) =>
        ask(() => {
          const from = Number(position);
          const notices = this.#notices.slice(from, from + limit);
          return { notices, position: String(from + notices.length), more: notices.length === limit };
        }),
      listEnded: (watchIds) =>
        ask(() =>
          this.#select(
            "select value as id from json_each(?) where value not in (select id from watches where status = 'active')",
            JSON.stringify(watchIds),
          ),
        ),
      loadOwnedCalls: (callIds) =>
        ask(async () => {
          const member = seat.token === null ? undefined : this.#members.get(seat.token);
          for (const callId of callIds) member?.dirty.delete(callId);
          const calls = (await this.#watchedCalls()).filter(({ callId }) => callIds.includes(callId));
          for (const callId of callIds)
            if (this.#owners.get(callId) === seat.token && !calls.some((call) => call.callId === callId)) this.#owners.delete(callId);
          return calls.filter(({ callId }) => this.#owners.get(callId) === seat.token);
        }),
      countUnownedCalls: () =>
        ask(async () => {
          const counts: Record<string, number> = {};
          for (const { sourceName } of await this.#unowned()) counts[sourceName] = (counts[sourceName] ?? 0) + 1;
          return counts;
        }),
      claimCalls: ({ sourceName, limit, deadlineBeforeMs }) =>
        ask(async () => {
          const { token } = seat;
          if (token === null || !this.#members.has(token)) throw new InstanceFencedError();
          const free = (await this.#unowned()).filter(
            (call) => call.sourceName === sourceName && (deadlineBeforeMs === null || call.earliestDeadlineAtMs < deadlineBeforeMs),
          );
          const claimed = free.filter(({ callId }) => this.#isUnowned(callId)).slice(0, limit);
          for (const { callId } of claimed) this.#owners.set(callId, token);
          return claimed;
        }),
      listLeases: () =>
        ask(() => {
          const standing = new Set(this.#leaseTokens("select lease_token as id from deliveries where lease_token is not null"));
          return [...this.#leases].flatMap(([leaseToken, { token, deliveryId }]) =>
            token === seat.token && standing.has(leaseToken) ? [{ deliveryId, leaseToken }] : [],
          );
        }),
      evict: (tokens) =>
        ask(async () => {
          const gone = tokens.filter((token) => (this.#members.get(token)?.leaseUntilMs ?? Infinity) <= this.#nowMs);
          for (const token of gone) await this.#remove(token);
          for (const what of ["calls", "deliveries", "instances"] as const) if (gone.length > 0) this.#signal(seat, what);
          return gone.length;
        }),
      leave: () =>
        ask(async () => {
          if (seat.token !== null) await this.#remove(seat.token);
          for (const what of ["calls", "deliveries", "instances"] as const) this.#signal(seat, what);
          seat.token = null;
        }),
      changeSuspension: ({ sourceName, suspension, expectedVersion }) =>
        ask(() => {
          const gate = this.#gates.get(sourceName);
          if ((gate?.suspensionVersion ?? 0) !== expectedVersion && gate !== undefined) return { kind: "superseded" as const, gate };
          const changed = { ...(gate ?? freshGate(sourceName)), suspension, suspensionVersion: ++this.#gateVersion };
          this.#gates.set(sourceName, changed);
          this.#signal(seat, "sources");
          return { kind: "changed" as const, gate: changed };
        }),
      throttle: ({ sourceName, throttledUntilMs, rateFactor }) =>
        ask(() => {
          const gate = this.#gates.get(sourceName) ?? freshGate(sourceName);
          const changed = {
            ...gate,
            throttledUntilMs: Math.max(gate.throttledUntilMs ?? 0, throttledUntilMs),
            rateFactor,
            throttleVersion: ++this.#gateVersion,
          };
          this.#gates.set(sourceName, changed);
          this.#signal(seat, "sources");
          return changed;
        }),
    };
  }

  #raiseRates(seat: Seat, wanted: Parameters<SharedParts["instances"]["raiseRates"]>[0]): Readonly<Record<string, number>> {
    const member = seat.token === null ? undefined : this.#members.get(seat.token);
    if (member === undefined) throw new InstanceFencedError();
    const others = [...this.#members.values()].filter((other) => other !== member && other.leaseUntilMs > this.#nowMs);
    const granted = Object.entries(wanted).map(([name, { wantedPerSecond, limitPerSecond }]) => {
      const othersPerSecond = others.reduce((sum, { shares }) => sum + (shares[name]?.ratePerSecond ?? 0), 0);
      const publishedPerSecond = member.shares[name]?.ratePerSecond ?? 0;
      return [name, raisedRate({ limitPerSecond, wantedPerSecond, publishedPerSecond, othersPerSecond })] as const;
    });
    const raised = granted.map(([name, ratePerSecond]) => [name, { ...member.shares[name], ratePerSecond }]);
    member.shares = { ...member.shares, ...(Object.fromEntries(raised) as Shares) };
    return Object.fromEntries(granted);
  }

  async #sweep(seat: Seat): Promise<Sweep> {
    const member = seat.token === null ? undefined : this.#members.get(seat.token);
    const own = JSON.stringify([...this.#leases].filter(([, { token }]) => token === seat.token).map(([leaseToken]) => leaseToken));
    const gates = [...this.#gates.values()].filter(
      (gate) => Math.max(gate.suspensionVersion, gate.throttleVersion) > (member?.gateVersion ?? 0),
    );
    if (member !== undefined) member.gateVersion = this.#gateVersion;
    return {
      feedPosition: String(this.#notices.length),
      // It is looked for at every sweep: what a claim costs is nothing here.
      isDeliveryDue: true,
      dirtyCallIds: [...(member?.dirty ?? [])],
      settledDeliveryIds: this.#select(
        "select id from deliveries where lease_token in (select value from json_each(?)) and status <> 'pending'",
        own,
      ),
      closedEndpointIds: this.#select(
        `select distinct d.endpoint_id as id from deliveries d join endpoints p on p.id = d.endpoint_id
         where d.lease_token in (select value from json_each(?)) and p.state <> 'enabled'`,
        own,
      ),
      gates,
      expiredTokens: [...this.#members]
        .filter(([token, { leaseUntilMs }]) => token !== seat.token && leaseUntilMs < this.#nowMs)
        .map(([token]) => token),
      hasUnownedCalls: (await this.#unowned()).length > 0,
      sourceRevisions: 0,
    };
  }

  async #remove(token: number): Promise<void> {
    const member = this.#members.get(token);
    this.#members.delete(token);
    for (const [callId, owner] of this.#owners) if (owner === token) this.#owners.delete(callId);
    if (member !== undefined) this.#parts.onEvicted(member.lifetime);
    await this.#releaseLeasesOf(token);
  }

  async #releaseLeasesOf(token: number): Promise<void> {
    const leases = [...this.#leases].filter(([, lease]) => lease.token === token);
    for (const [leaseToken] of leases) this.#leases.delete(leaseToken);
    await this.#realStore.releaseDeliveries(
      leases.map(([leaseToken, { deliveryId }]) => ({ deliveryId, leaseToken })),
      this.#parts.scheduler.wallMs,
    );
  }

  #rejoin(seat: Seat): Promise<void> {
    seat.rejoining ??= (seat.rejoin?.() ?? Promise.resolve()).finally(() => {
      seat.rejoining = null;
    });
    return seat.rejoining;
  }

  async #unavailable(seat: Seat): Promise<never> {
    await this.#wait(seat, unavailableAfterMs);
    seat.onUnavailable();
    throw new StoreUnavailableError("the database is away");
  }

  #signal(from: Seat, what: InstanceSignal): void {
    const { scheduler, random } = this.#parts;
    for (const [token, { lifetime, onSignal }] of this.#members)
      if (token !== from.token && !random.chance(signalsLost))
        scheduler.schedule(random.latencyMs(3, 50), () => onSignal(new Set([what])), lifetime);
  }

  #travel(seat: Seat): Promise<void> {
    return this.#wait(seat, this.#parts.random.latencyMs(1, 40));
  }

  #wait({ lifetime }: Seat, ms: number): Promise<void> {
    return new Promise((resolve) => void this.#parts.scheduler.schedule(ms, resolve, lifetime));
  }

  #watchedCalls(): Promise<readonly WatchedCall[]> {
    return this.#realStore.loadWatchedCalls({ afterCallId: null, limit: 100_000 });
  }

  async #unowned(): Promise<readonly WatchedCall[]> {
    return (await this.#watchedCalls()).filter(({ callId }) => this.#isUnowned(callId));
  }

  #isUnowned(callId: string): boolean {
    const owner = this.#owners.get(callId);
    return owner === undefined || !this.#members.has(owner);
  }

  #select(sql: string, value: string): readonly string[] {
    const rows = this.#parts.connection()?.prepare(sql).all(value) ?? [];
    return rows.map(({ id }) => id as string);
  }

  #leaseTokens(sql: string): readonly number[] {
    return (this.#parts.connection()?.prepare(sql).all() ?? []).map(({ id }) => id as number);
  }

  get #realStore(): ServiceStore {
    if (this.#store === null) throw new Error("the store is not open yet");
    return this.#store;
  }

  get #nowMs(): number {
    return this.#parts.scheduler.nowMs;
  }
}

type Notice = { readonly accountId: string; readonly watchId: string | null; readonly sequence: number | null; readonly eventType: string };
type Registered = {
  readonly kind: string;
  readonly call?: WatchedCall | null;
  readonly jobs?: readonly SendJob[];
  readonly notices?: readonly Notice[];
};

function freshGate(sourceName: string): GateState {
  return { sourceName, suspension: null, suspensionVersion: 0, throttledUntilMs: null, rateFactor: 1, throttleVersion: 0 };
}
