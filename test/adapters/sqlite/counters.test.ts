import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { decodeId } from "../../../src/domain/ids.ts";
import { CounterRecount } from "../../../src/engine/runtime/counter-recount.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { recountAll } from "../../harness/counters.ts";
import { silentLogger } from "../../harness/silent-telemetry.ts";
import { StoreWorld, hour, ok, only, second, startMs, testPolicy } from "../../harness/store-drafts.ts";
import { live } from "../../harness/store-life.ts";

async function openFile() {
  const folder = await mkdtemp(join(tmpdir(), "ringback-counters-"));
  const path = join(folder, "ringback.db");
  const world = new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
  onTestFinished(async () => {
    await world.store.close();
    await rm(folder, { recursive: true });
  });
  /** Writes past the store. */
  const edit = (sql: string) => {
    const connection = new DatabaseSync(path, { timeout: 5000 });
    connection.exec(sql);
    connection.close();
  };
  const read = (sql: string) => {
    const connection = new DatabaseSync(path, { timeout: 5000, readOnly: true });
    const row = connection.prepare(sql).get();
    connection.close();
    return { ...row };
  };
  return { world, edit, read };
}

test("counters are right after every operation of the store", async () => {
  const { world } = await openFile();
  await live(world);
  const { watchesByStatus, deliveriesByStatus } = await world.store.readStats();
  expect(watchesByStatus["active"]).toBeGreaterThan(0);
  expect(deliveriesByStatus["pending"]).toBeGreaterThan(0);
  expect(await recountAll(world.store)).toEqual([]);
});

test("a recount corrects what differs, though commits change rows between its portions", async () => {
  const { world, edit, read } = await openFile();
  const { view } = await world.watch("OUT-1");
  const { accountId } = view.watch;
  const job = only((await world.see("OUT-1", "queued")).jobs);
  // Setup: as many settled deliveries of the one event as take several portions, counted wrong by one.
  edit(`
    insert into deliveries (id, account_id, event_position, endpoint_id, terminal, status, created_at)
      with recursive n(i) as (select 1 union all select i + 1 from n where i < 70000)
      select i, ${decodeId(accountId)}, 1, ${decodeId(view.endpoint?.id ?? "")}, 0, 'canceled', 1 from n;
    update delivery_counts set n = n + 69999 where status = 'canceled';
    insert into stored_answers (id, account_id, request_hash, sealed, own_room, expires_at)
      with recursive n(i) as (select 1 union all select i + 1 from n where i < 900)
      select 'answer ' || i, ${decodeId(accountId)}, 'hash', zeroblob(i), i % 3 = 0, 1 from n;
    update account_usage set stored_bytes = stored_bytes + 7;
    update endpoints set unleased = unleased + 5;
    update account_usage set active = active + 2, endpoints = endpoints - 1`);
  let portions = 1;
  for (; !(await world.store.recountPortion()).done; portions++) {
    await world.watch(`OUT-later-${portions}`);
    if (portions === 1) await world.record(job, ok);
    if (portions === 2)
      edit(
        `update deliveries set status = 'pending' where id = 1; update delivery_counts set n = n + iif(status = 'pending', 1, -1) where status in ('pending', 'canceled');
         update endpoints set unleased = unleased + 1 where id = (select endpoint_id from deliveries where id = 1)`,
      );
  }
  expect(portions).toBeGreaterThan(3);
  // Those that take room of their account.
  expect(read("select stored_bytes as n from account_usage")).toEqual({ n: (900 * 901) / 2 - (3 * 300 * 301) / 2 });
  expect(await recountAll(world.store)).toEqual([]);
  const { watchesByStatus, deliveriesByStatus } = await world.store.readStats();
  expect(watchesByStatus).toMatchObject({ active: portions });
  expect(deliveriesByStatus).toMatchObject({ pending: 1, delivered: 1, canceled: 69_999 });
  expect(await world.store.getEndpoint(accountId, view.endpoint?.id ?? "")).toMatchObject({ backlog: 1 });
});

test("the hourly recount logs and counts each correction", async () => {
  const { world, edit } = await openFile();
  const { view } = await world.watch("OUT-1");
  const clock = new FakeClock(startMs);
  const logged: unknown[] = [];
  let corrected = 0;
  const recount = new CounterRecount({
    store: world.store,
    clock,
    logger: { ...silentLogger, error: (fields, message) => void logged.push([message, fields]) },
    metrics: { counterCorrected: () => void (corrected += 1) },
  });
  edit(
    "update account_usage set active = 7; update delivery_counts set n = n - 1 where status = 'failed'; update endpoints set unleased = 2",
  );
  await clock.advance(hour - second);
  await recount.tick();
  expect(corrected).toBe(0);
  await clock.advance(second);
  await recount.tick();
  expect(logged).toEqual([
    ["counter.corrected", { counter: "watches active", accountId: view.watch.accountId, difference: -6 }],
    ["counter.corrected", { counter: `unleased of ${view.endpoint?.id}`, accountId: null, difference: -2 }],
    ["counter.corrected", { counter: "deliveries failed", accountId: null, difference: 1 }],
  ]);
  expect(corrected).toBe(3);
  expect((await world.store.readStats()).watchesByStatus).toMatchObject({ active: 1 });
});
