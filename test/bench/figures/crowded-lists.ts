import pg from "pg";
import { Database } from "../../../src/adapters/postgres/connection/database.ts";
import { migrate } from "../../../src/adapters/postgres/migrate.ts";
import { createPostgresStore } from "../../../src/adapters/postgres/store.ts";
import { CrowdedLists } from "../../harness/postgres/crowded-lists.ts";
import type { Shape } from "../../harness/postgres/crowded-lists.ts";
import { startEmbedded } from "../../harness/postgres/postgres-server.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";
import { percentile } from "../figure.ts";
import type { Figure } from "../figure.ts";

const barMs = 20;
const reads = 5;

type Timed = { readonly list: string; readonly ms: number };

/**
 * The slowest list of the API over Postgres, in an account with this number of deliveries and in one beside it: nearly all delivered
 * and nearly all pending, with the plans of an empty and of an analyzed database.
 */
export async function measureCrowdedLists(deliveries: number): Promise<Figure> {
  const timed: Timed[] = [];
  for (const shape of ["ordinary", "stuck"] as const) timed.push(...(await timeLists(deliveries, shape)));
  const [slowest] = timed.toSorted((a, b) => b.ms - a.ms);
  const ms = slowest?.ms ?? Number.NaN;
  return {
    name: `slowest list at ${deliveries} deliveries`,
    value: ms,
    shown: `${ms.toFixed(1)} ms (${slowest?.list})`,
    bar: `<= ${barMs} ms`,
    met: ms <= barMs,
  };
}

async function timeLists(deliveries: number, shape: Shape): Promise<readonly Timed[]> {
  const server = await startEmbedded({ syncs: false });
  const client = new pg.Client({ connectionString: server.url });
  try {
    await migrate(server.url);
    await client.connect();
    const [fresh, later] = [open(server.url), open(server.url)];
    try {
      const world = new StoreWorld(fresh);
      const lists = await CrowdedLists.prepare(world, client);
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
