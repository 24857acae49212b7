import { openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import { storeSuite } from "./store-suite.ts";

storeSuite({
  name: "sqlite in memory",
  durable: false,
  shared: false,
  createDatabase: async () => ({
    open: (policy) => openSqliteStore({ path: ":memory:", policy }),
    openSecond: null,
    recount: null,
    dispose: async () => undefined,
  }),
});
