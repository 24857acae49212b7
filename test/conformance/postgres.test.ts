import { afterAll } from "vitest";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { storeSuite } from "./store-suite.ts";

const free: TestPostgres[] = [];
afterAll(() => Promise.all(free.map((database) => database.dispose())));

storeSuite({
  name: "postgres",
  durable: true,
  shared: true,
  createDatabase: async () => {
    const database = free.pop() ?? (await TestPostgres.create());
    return {
      open: async (policy) => (await database.openAlone(policy)).store,
      openSecond: async (policy) => {
        const instance = await database.openBeside(policy);
        return { store: instance.store, evict: () => database.evict(instance) };
      },
      dispose: async () => {
        await database.empty();
        free.push(database);
      },
    };
  },
});
