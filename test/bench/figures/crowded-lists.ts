import { DatabaseSync } from "node:sqlite";
import pg from "pg";
import { Database } from "../../../src/adapters/postgres/connection/database.ts";
import { migrate } from "../../../src/adapters/postgres/migrate.ts";
import { createPostgresStore } from "../../../src/adapters/postgres/store.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { CrowdedLists } from "../../harness/crowded-lists.ts";
import type { Shape } from "../../harness/crowded-lists.ts";
import { startEmbedded } from "../../harness/postgres/postgres-server.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";
import { benchDatabase } from "../bench-service.ts";
import { percentile } from "../figure.ts";
import type { Figure } from "../figure.ts";

const barMs = 20;
const reads = 5;

type Timed = { readonly list: string; readonly ms: number };

/**
 * The slowest list of the API over each store, in an account with this number of deliveries and in one beside it: nearly all
 * delivered and nearly all pending, with the plans of an empty and of an analyzed database.
 */
export async function measureCrowdedLists(deliveries: number): Promise<readonly Figure[]> {
  const stores = [
    ["SQLite", timeSqlite],
    ["Postgres", timePostgres],
  ] as const;
  const figures: Figure[] = [];
  for (const [store, timeLists] of stores) {
    const timed: Timed[] = [];
    for (const shape of ["ordinary", "stuck"] as const) timed.push(...(await timeLists(deliveries, shape)));
    const [slowest] = timed.toSorted((a, b) => b.ms - a.ms);
    const ms = slowest?.ms ?? Number.NaN;
    figures.push({
      name: `slowest list at ${deliveries} deliveries in ${store}`,
      value: ms,
      shown: `${ms.toFixed(1)} ms (${slowest?.list})`,
      bar: `<= ${barMs} ms`,
      met: ms <= barMs,
    });
  }
  return figures;
}

async function timeSqlite(deliveries: number, shape: Shape): Promise<readonly Timed[]> {
  await using database = await benchDatabase();
  const { path } = database;
  let store = await openSqliteStore({ path, policy: testPolicy });
  const connection = new DatabaseSync(path, { timeout: 5000 });
  try {
    connection.exec("pragma synchronous = off");
    const world = new StoreWorld(store);
    const lists = await CrowdedLists.prepare(world, { kind: "sqlite", execute: async (sql) => connection.exec(sql) });
    for (const [, read] of lists.lists()) await read();
    await lists.fill(deliveries, shape);
    const timed = await time(lists, `${shape}, plans of an empty database`);
    await store.close();
    connection.exec("analyze");
    world.store = store = await openSqliteStore({ path, policy: testPolicy });
    return [...timed, ...(await time(lists, `${shape}, analyzed`))];
  } finally {
    connection.close();
    await store.close();
  }
}

async function timePostgres(deliveries: number, shape: Shape): Promise<readonly Timed[]> {
  const server = await startEmbedded({ syncs: false });
  const client = new pg.Client({ connectionString: server.url });
  try {
    await migrate(server.url);
    await client.connect();
    const [fresh, later] = [open(server.url), open(server.url)];
    try {
      const world = new StoreWorld(fresh);
      const lists = await CrowdedLists.prepare(world, { kind: "postgres", execute: (sql) => client.query(sql) });
      for (const [, read] of lists.lists()) await read();
      await lists.fill(deliveries, shape);
      const timed = await time(lists, `${shape}, plans of an empty database`);
      await client.query("analyze");
      world.store = later;
      return [...timed, ...(await time(lists, `${shape}, analyzed`))];
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

async function time(lists: CrowdedLists, state: string): Promise<readonly Timed[]> {
  const timed: Timed[] = [];
  for (const [name, read] of lists.lists()) {
    const times: number[] = [];
    for (let n = 0; n < reads; n++) {
      const startedMs = performance.now();
      await read();
      times.push(performance.now() - startedMs);
    }
    timed.push({ list: `${name}, ${state}`, ms: percentile(times, 0.5) });
  }
  return timed;
}
