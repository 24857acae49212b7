import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CrowdedLists, crowdedUrl } from "../../harness/crowded-lists.ts";
import type { Shape } from "../../harness/crowded-lists.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import type { TestInstance } from "../../harness/postgres/postgres-database.ts";
import { answered, only, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

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
  // A plan is made with the statistics that the test wants.
  await client.query(
    ["calls", "watches", "events", "deliveries", "endpoints", "hooks"]
      .map((table) => `alter table ${table} set (autovacuum_enabled = false)`)
      .join("; "),
  );
});
afterEach(async () => {
  await client.end();
  await instance.store.close();
  await database.dispose();
});

/** Counts the rows and index entries that the instance has read. */
async function countRead(): Promise<number> {
  // What a session counted is published when it is idle after the next statement.
  await instance.db.get("select pg_stat_force_next_flush()");
  await instance.db.get("select 1");
  const { rows } = await client.query<{ n: string }>(
    `select (select sum(seq_tup_read) from pg_stat_user_tables where relname <> 'schema_migrations') + (select sum(idx_tup_read) from pg_stat_user_indexes) as n`,
  );
  return Number(rows[0]?.n);
}

async function readBy(run: () => Promise<unknown>): Promise<number> {
  const before = await countRead();
  await run();
  return (await countRead()) - before;
}

/** `empty`: the plans were made when the tables were empty, and the server knows nothing of what is in them now. */
async function crowd(shape: Shape, state: "empty" | "analyzed"): Promise<CrowdedLists> {
  const lists = await CrowdedLists.prepare(world, { kind: "postgres", execute: (sql) => client.query(sql) });
  for (const [, read] of lists.lists()) await read();
  await live("before");
  await lists.fill(20_000, shape);
  if (state === "analyzed") {
    await client.query("analyze");
    await instance.store.close();
    instance = await database.openAlone(testPolicy, { poolSize: 1 });
    world.store = instance.store;
  }
  // What the set-up read is published before anything is counted.
  await client.query("select pg_stat_force_next_flush()");
  return lists;
}

const batch = Array.from({ length: 60 }, (_, n) => n);

/** What happens to 60 calls that are watched for the crowded endpoint, in batches; the parts by name. */
function parts(tag: string): readonly (readonly [name: string, run: () => Promise<unknown>])[] {
  const sidOf = (n: number) => `OUT-${tag}-${n}`;
  let jobs: Awaited<ReturnType<StoreWorld["see"]>>["jobs"] = [];
  const see = async (status: string) => {
    jobs = (await Promise.all(batch.map((n) => world.see(sidOf(n), status)))).flatMap((committed) => committed.jobs);
    expect(jobs.length).toBeGreaterThanOrEqual(batch.length);
  };
  return [
    ["registrations", () => Promise.all(batch.map((n) => world.watch(sidOf(n), { url: crowdedUrl })))],
    ["transitions", () => see("queued")],
    ["successes that may end failures", () => Promise.all(jobs.map((job) => world.record(job)))],
    ["transitions after a success", () => see("calling")],
    ["plain successes", () => Promise.all(jobs.map((job) => world.record(job)))],
    ["transitions before a failure", () => see("in_progress")],
    ["failures", () => Promise.all(jobs.map((job) => world.record(job, answered(500))))],
    ["a claim", async () => world.release((await world.claim()).jobs)],
    [
      "the end of a watch",
      async () => {
        const { data } = await world.store.listWatches({
          accountId: (await world.account()).id,
          limit: 1,
          cursor: null,
          status: null,
          callSid: sidOf(0),
        });
        const { watch } = only(data);
        await world.store.removeWatch({ by: null, accountId: watch.accountId, watchId: watch.id, purge: true, nowMs: world.nowMs });
      },
    ],
  ];
}

async function live(tag: string): Promise<void> {
  for (const [, run] of parts(tag)) await run();
}

describe.each<[Shape, "empty" | "analyzed"]>([
  ["ordinary", "empty"],
  ["ordinary", "analyzed"],
  ["stuck", "empty"],
  ["stuck", "analyzed"],
])("20,000 deliveries of one endpoint, %s, with the plans of an %s database", (shape, state) => {
  test("no list walks through what it does not show, and no batch of registrations, transitions, attempts or claims", async () => {
    const lists = await crowd(shape, state);
    const walks = [];
    for (const [name, read] of lists.lists()) {
      const count = await readBy(read);
      if (count > 5000) walks.push(`${name}: ${count}`);
    }
    for (const [name, run] of parts("after")) {
      const count = await readBy(run);
      if (count > 60 * batch.length) walks.push(`${name}: ${count}`);
    }
    expect(walks).toEqual([]);
  });
});
