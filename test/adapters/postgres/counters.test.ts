import pg from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decodeId } from "../../../src/domain/ids.ts";
import { recountAll } from "../../harness/counters.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import type { TestInstance } from "../../harness/postgres/postgres-database.ts";
import { StoreWorld, ok, only, testPolicy } from "../../harness/store-drafts.ts";

let database: TestPostgres;
let instance: TestInstance;
let world: StoreWorld;
let client: pg.Client;

beforeEach(async () => {
  database = await TestPostgres.create();
  instance = await database.openAlone(testPolicy);
  world = new StoreWorld(instance.store);
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});
afterEach(async () => {
  await client.end();
  await instance.store.close();
  await database.dispose();
});

test("a recount corrects what differs, though commits change rows between its portions", async () => {
  const { view } = await world.watch("OUT-1");
  const { accountId } = view.watch;
  const [accountKey, endpointKey] = [decodeId(accountId), decodeId(view.endpoint?.id ?? "")];
  const job = only((await world.see("OUT-1", "queued")).jobs);
  // Setup: as many settled deliveries of the one event as take several portions, and counters that are wrong.
  await client.query(`
    insert into deliveries (id, account_id, event_position, endpoint_id, terminal, status, created_at)
      select n, ${accountKey}, (select max(position) from events), ${endpointKey}, false, 'canceled', 1 from generate_series(1, 70000) n;
    insert into stored_answers (id, account_id, request_hash, sealed, own_room, expires_at)
      select 'answer ' || n, ${accountKey}, 'hash', decode(repeat('00', n), 'hex'), n % 3 = 0, 1 from generate_series(1, 900) n;
    insert into count_changes (owner_id, what, n)
      values (0, 'deliveries canceled', -1), (${accountKey}, 'stored bytes', 7), (${accountKey}, 'watches active', 2), (${accountKey}, 'endpoints', -1), (${endpointKey}, 'unleased', 5)`);
  let portions = 1;
  const corrections = [];
  for (;;) {
    const portion = await world.store.recountPortion();
    corrections.push(...portion.corrections);
    if (portion.done) break;
    await world.watch(`OUT-later-${portions}`);
    if (portions === 1) await world.record(job, ok);
    if (portions === 2) await client.query("update deliveries set status = 'pending' where id = 1");
    portions += 1;
  }
  expect(portions).toBeGreaterThan(3);
  expect(corrections.toSorted((a, b) => a.counter.localeCompare(b.counter))).toEqual([
    { counter: "deliveries canceled", accountId: null, difference: 1 },
    { counter: "endpoints", accountId, difference: 1 },
    { counter: "stored bytes", accountId, difference: -7 },
    { counter: `unleased of ${view.endpoint?.id}`, accountId: null, difference: -5 },
    { counter: "watches active", accountId, difference: -2 },
  ]);
  expect(await recountAll(world.store)).toEqual([]);
  expect(await world.store.getEndpoint(accountId, view.endpoint?.id ?? "")).toMatchObject({ backlog: 1 });
});

test("one instance recounts at a time, and a recount whose connection broke begins again", async () => {
  const { view } = await world.watch("OUT-1");
  const { accountId } = view.watch;
  await client.query(`
    insert into count_changes (owner_id, what, n) values (${decodeId(accountId)}, 'endpoints', 1);
    insert into watches (id, account_id, call_id, metadata, status, created_at, expires_at)
      select n, ${decodeId(accountId)}, (select max(id) from calls), '{}', 'active', 1, 1 from generate_series(1, 70000) n`);
  const other = await database.openAlone(testPolicy);
  expect(await world.store.recountPortion()).toEqual({ done: false, corrections: [] });
  expect(await other.store.recountPortion()).toEqual({ done: true, corrections: [] });
  await client.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ringback recount'");
  await expect(world.store.recountPortion()).rejects.toThrow("the database failed");
  expect(await recountAll(other.store)).toEqual([{ counter: "endpoints", accountId, difference: -1 }]);
  expect(await recountAll(world.store)).toEqual([]);
  await other.store.close();
});

async function backlogs() {
  return (await client.query("select n::int from counts where what = 'unleased'")).rows;
}

test("the fold leaves no row of an endpoint without a backlog", async () => {
  await world.watch("OUT-1");
  const jobs = [...(await world.see("OUT-1", "queued")).jobs];
  await world.see("OUT-1", "calling");
  const fold = () => world.store.deleteExpired({ beforeMs: 0, nowMs: world.nowMs, limit: 10 });
  await fold();
  expect(await backlogs()).toEqual([{ n: 1 }]);
  await world.record(only(jobs), ok);
  for (const job of (await world.claim()).jobs) await world.record(job, ok);
  await fold();
  expect(await backlogs()).toEqual([]);
});
