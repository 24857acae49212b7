import { afterAll } from "vitest";
import { endKeptSessionsOf, keepSessions } from "../harness/postgres/kept-sessions.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { storeSuite } from "./store-suite.ts";

/** Every connection plans its statements, so that each more costs more than it saves. Races need two. */
const connections = { poolSize: 3 };
const free: TestPostgres[] = [];
const keepNone = keepSessions();
afterAll(async () => {
  keepNone();
  for (const { url } of free) await endKeptSessionsOf(url);
  await Promise.all(free.map((database) => database.dispose()));
});

storeSuite({
  name: "postgres",
  durable: true,
  shared: true,
  createDatabase: async () => {
    const database = free.pop() ?? (await TestPostgres.create());
    return {
      open: async (policy) => (await database.openAlone(policy, connections)).store,
      openSecond: async (policy) => {
        const instance = await database.openBeside(policy, connections);
        return { store: instance.store, evict: () => database.evict(instance) };
      },
      recount: () => database.recount(),
      dispose: async () => {
        await database.empty();
        free.push(database);
      },
    };
  },
});
