import { InstanceFencedError, StoreUnavailableError, openStoreOn } from "./engine-adapter.ts";
import type { Notice, OpenStore, SendJob, ServiceStore, SharedParts, WatchedCall } from "./engine-adapter.ts";
import { LeaseTables } from "./lease-tables.ts";
import type { LeasedStoreParts, Seat } from "./lease-tables.ts";
import { createInstances } from "./leased-instances.ts";
import type { Lifetime } from "./scheduler.ts";
import { plantTookEffect } from "./plants.ts";

const unavailableAfterMs = 500;

/** Writes that only the instance that holds a lease may make. */
const fenced: ReadonlySet<string> = new Set(["claimDue", "recordAttempt", "claimManualRetry", "createTest", "publishSourceEvent"]);
/** Writes that only the owner of a call may make. */
const commits: ReadonlySet<string> = new Set(["commitCall", "commitPortion"]);
/** Writes that any registered instance may make: after an eviction it joins again and repeats them. */
const registered: ReadonlySet<string> = new Set([
  "registerWatches",
  "registerHook",
  "patchWatch",
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
  readonly #tables: LeaseTables;
  constructor(parts: LeasedStoreParts) {
    this.#parts = parts;
    this.#tables = new LeaseTables(parts);
  }

  async start(): Promise<void> {
    this.#tables.store = await this.#parts.open();
  }

  /** The store as one process has it. */
  openFor(lifetime: Lifetime): OpenStore {
    const seat: Seat = { lifetime, token: null, rejoin: null, rejoining: null, onUnavailable: () => undefined, onSignal: () => undefined };
    const store = this.#storeOf(seat);
    const shared: SharedParts = {
      instances: createInstances(this.#tables, seat, (work) => this.#ask(seat, "instances", () => Promise.resolve(work()))),
      peerNotifier: { signal: (what) => this.#tables.signal(seat, what) },
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
    const real = this.#tables.realStore;
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

  /** Travels to the database and back. A process may freeze or end on the way, but a request that arrived takes effect. */
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
    if (!(fenced.has(name) || registered.has(name)) || seat.rejoin === null) return false;
    const isEvicted = seat.token === null || !this.#tables.members.has(seat.token);
    return isEvicted && !(this.#parts.isFenceless && plantTookEffect());
  }

  async #run(seat: Seat, name: string, real: ServiceStore, args: readonly unknown[]): Promise<unknown> {
    const [first] = args as readonly [{ readonly callId?: string }];
    if (commits.has(name) && !this.#mayCommit(seat, first.callId ?? "")) return { kind: "stale", call: null };
    if (name === "releaseCalls") this.#tables.releaseCalls(seat, ...(args as Parameters<ServiceStore["releaseCalls"]>));
    const operation = Reflect.get(real, name) as (...values: readonly unknown[]) => Promise<unknown>;
    const result = await operation(...args);
    if (commits.has(name) && (result as { readonly call: WatchedCall | null }).call === null)
      this.#tables.settledCall(seat, first.callId ?? "", null);
    return this.#after(seat, name, result);
  }

  async #runClaimed(seat: Seat, name: string, claimed: object, args: readonly unknown[]): Promise<unknown> {
    const operation = Reflect.get(claimed, name) as (
      ...values: readonly unknown[]
    ) => Promise<{ readonly kind: string; readonly result?: unknown }>;
    const run = await operation(...args);
    return run.kind === "ran" ? { ...run, result: this.#after(seat, name, run.result) } : run;
  }

  #mayCommit(seat: Seat, callId: string): boolean {
    const isOwner = seat.token !== null && this.#tables.members.has(seat.token) && this.#tables.owners.get(callId) === seat.token;
    return isOwner || (this.#parts.isFenceless && plantTookEffect());
  }

  /** What the tables of Postgres would say after it, and what of the result is this instance's. */
  #after(seat: Seat, name: string, result: unknown): unknown {
    switch (name) {
      case "commitCall":
      case "commitPortion": {
        const { jobs = [], notices = [] } = result as { jobs?: readonly SendJob[]; notices?: readonly Notice[] };
        this.#tables.lease(seat, jobs, notices);
        return result;
      }
      case "registerWatches":
        return (result as readonly Registered[]).map((one) => this.#afterRegistration(seat, one));
      case "patchWatch": {
        const patched = result as { kind: string; callId?: string; call?: WatchedCall | null };
        if (patched.kind !== "patched" || patched.callId === undefined) return result;
        return { ...patched, call: this.#tables.settledCall(seat, patched.callId, patched.call ?? null) };
      }
      case "removeWatch": {
        const removed = result as { kind: string; callId?: string; call?: WatchedCall | null; notices?: readonly Notice[] };
        if (removed.kind !== "removed" || removed.callId === undefined) return result;
        this.#tables.lease(seat, [], removed.notices ?? []);
        this.#tables.signal(seat, "watches");
        return { ...removed, call: this.#tables.settledCall(seat, removed.callId, removed.call ?? null) };
      }
      case "loadWatchedCalls":
        return (result as readonly WatchedCall[]).filter(({ callId }) => this.#tables.owners.get(callId) === seat.token);
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
        if (Array.isArray(jobs)) this.#tables.lease(seat, job === undefined ? jobs : [...jobs, job], notices);
        for (const callId of unwatchedCallIds) this.#tables.settledCall(seat, callId, null);
        return result;
      }
    }
  }

  #afterRegistration(seat: Seat, one: Registered): Registered {
    if (one.kind !== "created") return one;
    this.#tables.lease(seat, one.jobs ?? [], one.notices ?? []);
    return one.call === null || one.call === undefined ? one : { ...one, call: this.#tables.registeredCall(seat, one.call) };
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

  #travel(seat: Seat): Promise<void> {
    return this.#wait(seat, this.#parts.random.latencyMs(1, 40));
  }

  #wait({ lifetime }: Seat, ms: number): Promise<void> {
    return new Promise((resolve) => void this.#parts.scheduler.schedule(ms, resolve, lifetime));
  }
}

type Registered = {
  readonly kind: string;
  readonly call?: WatchedCall | null;
  readonly jobs?: readonly SendJob[];
  readonly notices?: readonly Notice[];
};
