import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import { storeSuite } from "./store-suite.ts";

storeSuite({
  name: "sqlite file",
  durable: true,
  shared: false,
  createDatabase: async () => {
    const folder = await mkdtemp(join(tmpdir(), "ringback-store-"));
    return {
      open: (policy) => openSqliteStore({ path: join(folder, "ringback.db"), policy }),
      openSecond: null,
      recount: null,
      dispose: () => rm(folder, { recursive: true }),
    };
  },
});
