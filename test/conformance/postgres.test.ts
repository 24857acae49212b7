import { TestPostgres } from "../support/postgres-database.ts";
import { storeSuite } from "./store-suite.ts";

storeSuite({
  name: "postgres",
  durable: true,
  createDatabase: async () => {
    const database = await TestPostgres.create();
    return {
      open: async (policy) => (await database.open(policy, true)).store,
      dispose: () => database.dispose(),
    };
  },
});
