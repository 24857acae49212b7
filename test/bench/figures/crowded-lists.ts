import { DatabaseSync } from "node:sqlite";
import pg from "pg";
import { Database } from "../../../src/adapters/postgres/connection/database.ts";
import { migrate } from "../../../src/adapters/postgres/migrate.ts";
import { createPostgresStore } from "../../../src/adapters/postgres/store.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { fillAccount } from "../../harness/crowded-account.ts";
import type { CrowdedRows } from "../../harness/crowded-account.ts";
import { CrowdedLists } from "../../harness/crowded-lists.ts";
import type { Shape } from "../../harness/crowded-lists.ts";
import { startEmbedded } from "../../harness/postgres/postgres-server.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";
import { benchDatabase } from "../bench-service.ts";
import type { Figure } from "../figure.ts";
import { timePages } from "./crowded-pages.ts";
import { slowestOf, timeEach } from "./timed-reads.ts";
import type { Timed } from "./timed-reads.ts";

const listBarMs = 20;
const pageBarMs = 100;

type CrowdedTimes = { readonly lists: readonly Timed[]; readonly pages: readonly Timed[] };

/**
 * The slowest list of the API and the slowest page of the dashboard over each store, in an account with this number of deliveries and, of
 * lists, in one beside it: nearly all delivered and nearly all pending, with the plans of an empty and of an analyzed database.
 */
export async function measureCrowdedLists(deliveries: number): Promise<readonly Figure[]> {
  const stores = [
    ["SQLite", timeSqlite],
    ["Postgres", timePostgres],
  ] as const;
  const figures: Figure[] = [];
  for (const [store, timeStore] of stores) {
    const times: CrowdedTimes[] = [];
    for (const shape of ["ordinary", "stuck"] as const) times.push(...(await timeStore(deliveries, shape)));
    const at = `at ${deliveries} deliveries in ${store}`;
    const lists = times.flatMap((each) => each.lists);
    const pages = times.flatMap((each) => each.pages);
    figures.push(
      slowestOf(lists, { name: `slowest list ${at}`, barMs: listBarMs }),
      slowestOf(pages, { name: `slowest page ${at}`, barMs: pageBarMs }),
    );
  }
  return figures;
}

async function timeSqlite(deliveries: number, shape: Shape): Promise<readonly CrowdedTimes[]> {
  await using file = await benchDatabase();
  const { path } = file;
  let store = await openSqliteStore({ path, policy: testPolicy });
  const connection = new DatabaseSync(path, { timeout: 5000 });
  try {
    connection.exec("pragma synchronous = off");
    const world = new StoreWorld(store);
    const database = { kind: "sqlite", execute: async (sql: string) => connection.exec(sql) } as const;
    const lists = await CrowdedLists.prepare(world, database);
    for (const [, read] of lists.lists()) await read();
    await lists.fill(deliveries, shape);
    const state = `${shape}, plans of an empty database`;
    const listTimes = await timeEach(lists.lists(), state);
    const rows = await fillAccount(database, lists.crowdedId, deliveries);
    const times = { lists: listTimes, pages: await timePages(store, rows, state) };
    await store.close();
    connection.exec("analyze");
    world.store = store = await openSqliteStore({ path, policy: testPolicy });
    return [times, await time(store, lists, rows, `${shape}, analyzed`)];
  } finally {
    connection.close();
    await store.close();
  }
}

async function timePostgres(deliveries: number, shape: Shape): Promise<readonly CrowdedTimes[]> {
  const server = await startEmbedded({ syncs: false });
  const client = new pg.Client({ connectionString: server.url });
  try {
    await migrate(server.url);
    await client.connect();
    const [fresh, later] = [open(server.url), open(server.url)];
    try {
      const world = new StoreWorld(fresh);
      const database = { kind: "postgres", execute: (sql: string) => client.query(sql) } as const;
      const lists = await CrowdedLists.prepare(world, database);
      for (const [, read] of lists.lists()) await read();
      await lists.fill(deliveries, shape);
      const state = `${shape}, plans of an empty database`;
      const listTimes = await timeEach(lists.lists(), state);
      const rows = await fillAccount(database, lists.crowdedId, deliveries);
      const times = { lists: listTimes, pages: await timePages(fresh, rows, state) };
      await client.query("analyze");
      world.store = later;
      return [times, await time(later, lists, rows, `${shape}, analyzed`)];
    } finally {
      await Promise.all([fresh.close(), later.close()]);
    }
  } finally {
    await client.end();
    await server.stop();
  }
}

/** Opens a store that only reads. One connection keeps the plans. */
function open(connectionString: string) {
  const owner = { token: null, hasPeers: false };
  return createPostgresStore(new Database({ connectionString, policy: testPolicy, owner, poolSize: 1 }));
}

async function time(store: ServiceStore, lists: CrowdedLists, rows: CrowdedRows, state: string): Promise<CrowdedTimes> {
  return { lists: await timeEach(lists.lists(), state), pages: await timePages(store, rows, state) };
}
