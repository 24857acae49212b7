import { TestPostgres } from "../support/postgres-database.ts";
import { storeSuite } from "./store-suite.ts";

storeSuite({
  name: "postgres",
  durable: true,
  shared: true,
  createDatabase: async () => {
    const database = await TestPostgres.create();
    return {
      open: async (policy) => (await database.openAlone(policy)).store,
      openSecond: async (policy) => {
        const instance = await database.openBeside(policy);
        return { store: instance.store, evict: () => database.evict(instance) };
      },
      dispose: () => database.dispose(),
    };
  },
});
