import pg from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import type { TestInstance } from "../../harness/postgres/postgres-database.ts";
import { minute, noQuotas, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

let database: TestPostgres;
let instance: TestInstance;
let world: StoreWorld;
let client: pg.Client;

beforeEach(async () => {
  database = await TestPostgres.create();
  instance = await database.openAlone(testPolicy, { poolSize: 1 });
  world = new StoreWorld(instance.store);
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});
afterEach(async () => {
  await client.end();
  await instance.store.close();
  await database.dispose();
});

/** Counts the rows and index entries of calls and watches that the instance has read. */
async function countRead(): Promise<number> {
  // What a session counted is published when it is idle after the next statement.
  await instance.db.get("select pg_stat_force_next_flush()");
  await instance.db.get("select 1");
  const { rows } = await client.query<{ n: string }>(
    `select (select sum(seq_tup_read) from pg_stat_user_tables where relname in ('calls', 'watches'))
       + (select sum(idx_tup_read) from pg_stat_user_indexes where relname in ('calls', 'watches')) as n`,
  );
  return Number(rows[0]?.n);
}

async function readBy(run: () => Promise<unknown>): Promise<number> {
  const before = await countRead();
  await run();
  return (await countRead()) - before;
}

test(
  "one more watch of a call with 3,000 reads a few rows, and so does its removal and the end of one deadline",
  { timeout: 60_000 },
  async () => {
    await world.hook("https://hooks.example/", { events: ["terminal"] });
    const drafts = [];
    for (let n = 0; n < 3000; n++) drafts.push(await world.watchDraft("OUT-1", { url: `https://r${n}.example/` }));
    for (let from = 0; from < drafts.length; from += 1000) await world.store.registerWatches(drafts.slice(from, from + 1000));
    await client.query("analyze");
    const quotas = { ...noQuotas, maxWatchesPerCall: 100_000 };
    // A handful of rows of each table; 3,000 without a bound.
    const limit = 150;
    const unlimited = await readBy(() => world.watch("OUT-1", { url: "https://more.example/" }));
    expect(unlimited).toBeLessThan(limit);
    // A quota reads as many entries as it allows.
    expect(await readBy(() => world.watch("OUT-1", { url: "https://counted.example/", quotas }))).toBeLessThan(2 * 3001 + limit);
    const { view } = await world.watch("OUT-1", { url: "https://due.example/", expiresAtMs: world.nowMs + minute });
    await world.load("OUT-1");
    world.pass(minute);
    expect(await readBy(() => world.commit("OUT-1", [{ kind: "expire" }], { confirmed: false, lastGoodPollAtMs: null }))).toBeLessThan(
      2 * 501 * 4 + limit,
    );
    expect((await world.store.getWatch(view.watch.accountId, view.watch.id))?.watch).toMatchObject({ endReason: "expired" });
    await world.see("OUT-1", "queued");
    // One portion of 500, each row found by its index and locked.
    expect(await readBy(() => world.portion("OUT-1"))).toBeLessThan(500 * 8 + limit);
    while (world.call("OUT-1").isUnfinished) await world.portion("OUT-1");
    expect(await readBy(() => world.watch("OUT-1", { url: "https://late.example/" }))).toBeLessThan(limit);
    const { accountId, id: watchId } = view.watch;
    expect(await readBy(() => world.store.removeWatch({ by: null, accountId, watchId, purge: false, nowMs: world.nowMs }))).toBeLessThan(
      limit,
    );
  },
);
