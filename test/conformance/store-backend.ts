import { afterEach } from "vitest";
import type { DeliveryPolicy } from "../../src/domain/retry-policy.ts";
import type { ServiceStore } from "../../src/ports/service-store.ts";
import { StoreWorld, testPolicy } from "../support/store-drafts.ts";

/** One database of its own. */
export type TestDatabase = {
  /** A server on it; the one before must be closed. */
  open(policy: DeliveryPolicy): Promise<ServiceStore>;
  dispose(): Promise<void>;
};

/** What a store adapter gives to be run through the suite. */
export type StoreBackend = {
  readonly name: string;
  /** Whether what was committed is there when the database is opened again. */
  readonly durable: boolean;
  createDatabase(): Promise<TestDatabase>;
};

export type OpenWorld = StoreWorld & { /** The server ends and another one starts. */ restart(): Promise<void> };

/** For a `describe`: a fresh world for each test, closed and erased after it. */
export function worlds(backend: StoreBackend): (policy?: Partial<DeliveryPolicy>) => Promise<OpenWorld> {
  const cleanups: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) await cleanup();
  });
  return async (given = {}) => {
    const policy = { ...testPolicy, ...given };
    const database = await backend.createDatabase();
    const world = new StoreWorld(await database.open(policy));
    cleanups.push(async () => {
      await world.store.close();
      await database.dispose();
    });
    const restart = async () => {
      await world.store.close();
      world.store = await database.open(policy);
    };
    return Object.assign(world, { restart });
  };
}
