import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import type { StoreBackend } from "./store-backend.ts";
import { storeSuite } from "./store-suite.ts";

const memory: StoreBackend = {
  name: "sqlite in memory",
  durable: false,
  createDatabase: async () => ({ open: (policy) => openSqliteStore({ path: ":memory:", policy }), dispose: async () => undefined }),
};

const file: StoreBackend = {
  name: "sqlite file",
  durable: true,
  createDatabase: async () => {
    const folder = await mkdtemp(join(tmpdir(), "ringback-store-"));
    return {
      open: (policy) => openSqliteStore({ path: join(folder, "ringback.db"), policy }),
      dispose: () => rm(folder, { recursive: true }),
    };
  },
};

storeSuite(memory);
storeSuite(file);
