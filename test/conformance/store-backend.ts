import { afterEach } from "vitest";
import type { DeliveryPolicy } from "../../src/domain/deliveries/retry-policy.ts";
import type { CounterCorrection, ServiceStore } from "../../src/ports/stores/service-store.ts";
import { expectCountersRight, expectNoCorrections } from "../harness/counters.ts";
import { StoreWorld, testPolicy } from "../harness/store-drafts.ts";

/** One database of its own. */
export type TestDatabase = {
  /** A server on it; the one before must be closed. */
  open(policy: DeliveryPolicy): Promise<ServiceStore>;
  /** Another server beside the one that is open, on the same database; null where there can be one only. */
  readonly openSecond: ((policy: DeliveryPolicy) => Promise<SecondServer>) | null;
  /** Recounts beside the store, where a recount of the store opens a connection; `null`: the store recounts. */
  readonly recount: (() => Promise<readonly CounterCorrection[]>) | null;
  dispose(): Promise<void>;
};

export type SecondServer = {
  readonly store: ServiceStore;
  /** The others take it for dead and go on with what it held; it does not know. */
  evict(): Promise<void>;
};

/** What a store adapter gives to be run through the suite. */
export type StoreBackend = {
  readonly name: string;
  /** Whether what was committed is there when the database is opened again. */
  readonly durable: boolean;
  /** Whether several servers may share a database. */
  readonly shared: boolean;
  createDatabase(): Promise<TestDatabase>;
};

export type OpenWorld = StoreWorld & {
  /** The server ends and another one starts. */
  restart(): Promise<void>;
  /** Fails the test if a counter differs from the rows. */
  expectCountersRight(): Promise<void>;
  /** Another server on the same database; where there can be none, the same once more: its callers race all the same. */
  beside(): Promise<Beside>;
};

export type Beside = StoreWorld & Pick<SecondServer, "evict">;

/** For a `describe`: a fresh world for each test, closed and erased after it. */
export function worlds(backend: StoreBackend): (policy?: Partial<DeliveryPolicy>) => Promise<OpenWorld> {
  const cleanups: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  });
  return async (given = {}) => {
    const policy = { ...testPolicy, ...given };
    const database = await backend.createDatabase();
    const world = new StoreWorld(await database.open(policy));
    cleanups.push(async () => {
      try {
        await countersRight();
      } finally {
        await world.store.close();
        await database.dispose();
      }
    });
    const countersRight = () =>
      database.recount === null ? expectCountersRight(world.store) : database.recount().then(expectNoCorrections);
    const restart = async () => {
      await world.store.close();
      world.store = await database.open(policy);
    };
    const beside = async (): Promise<Beside> => {
      if (database.openSecond === null)
        return Object.assign(new StoreWorld(world.store), { evict: () => Promise.reject(new Error("there is one server only")) });
      const { store, evict } = await database.openSecond(policy);
      cleanups.push(() => store.close());
      return Object.assign(new StoreWorld(store), { evict });
    };
    return Object.assign(world, { restart, beside, expectCountersRight: countersRight });
  };
}
