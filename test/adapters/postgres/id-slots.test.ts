import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../../src/adapters/clock.ts";
import { DatabaseClock } from "../../../src/adapters/postgres/connection/database-clock.ts";
import { Database } from "../../../src/adapters/postgres/connection/database.ts";
import { Instances } from "../../../src/adapters/postgres/instances/instance-rows.ts";
import { reserveKeys } from "../../../src/adapters/postgres/keys/id-slots.ts";
import { StartupError, StoreUnavailableError } from "../../../src/domain/errors.ts";
import { decodeId, encodeId, newId } from "../../../src/domain/ids.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";

const keysPerSlot = 2 ** 17;
const slotOf = (key: number) => Math.floor(key / keysPerSlot) % 64;

let database: TestPostgres;
const opened: Database[] = [];

beforeEach(async () => {
  database = await TestPostgres.create();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((db) => db.close()));
  await database.dispose();
});

function open() {
  const owner = { token: null as number | null, hasPeers: false };
  const db = new Database({ connectionString: database.url, policy: null, owner });
  opened.push(db);
  const instances = new Instances({ db, clock: new DatabaseClock(systemClock), notifyPeers: () => undefined });
  return { db, instances, join: (leaseMs = 60_000) => instances.join({ version: "test", leaseMs, shares: {} }) };
}

async function slotsIn(db: Database): Promise<readonly unknown[]> {
  return (await db.all("select slot from instances order by token")).map((row) => row["slot"]);
}

const newKey = () => decodeId(newId("wch", systemClock.nowMs()));

test("instances that join together have different slots; the next takes the lowest that is free", async () => {
  const members = Array.from({ length: 5 }, open);
  await Promise.all(members.map(({ join }) => join()));
  const [first, , third] = members;
  if (first === undefined || third === undefined) throw new Error("five members are open");
  expect((await slotsIn(first.db)).toSorted()).toEqual([1, 2, 3, 4, 5]);
  await first.db.run("delete from instances where slot in (2, 4)");
  await open().join();
  expect(slotOf(newKey())).toBe(2);
  await open().join();
  expect(slotOf(newKey())).toBe(4);
});

test("the keys of an instance are newer than all keys in the database", async () => {
  const { db, join } = open();
  await join();
  const ahead = newKey() + 4 * 64 * keysPerSlot;
  await db.run(
    "insert into audit (id, at, action, target_kind, target_id, actor_kind, detail) values ($1, 1, 'a', 'k', 'i', 'k', '{}')",
    ahead,
  );
  await open().join();
  expect(newKey()).toBeGreaterThan(ahead);
});

test("an instance that joins again after its eviction has a slot of its own", async () => {
  const [a, b] = [open(), open()];
  await a.join();
  await a.db.run("delete from instances");
  await b.join();
  expect(slotOf(newKey())).toBe(1);
  await a.join();
  expect(slotOf(newKey())).toBe(2);
});

test("the 64th instance is refused by one line; one that had joined before waits for a slot", async () => {
  const a = open();
  await a.join();
  await a.db.run(
    "insert into instances (slot, lease_until, version) select n, clock_timestamp() + interval '1 hour', 'test' from generate_series(2, 63) n",
  );
  const refused = await open()
    .join()
    .catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(StartupError);
  expect(String(refused)).toBe("StartupError: 63 instances share the database, which is the maximum: stop one of them first");
  await a.db.run("update instances set token = default where slot = 1");
  await expect(a.join()).rejects.toThrow(StoreUnavailableError);
});

test("after 63 crashes in a row the next instance takes the slot whose lease ended first", async () => {
  const a = open();
  await a.db.run(
    "insert into instances (slot, lease_until, version) select n, clock_timestamp() + (n - 9) * interval '1 hour', 'test' from generate_series(1, 63) n",
  );
  await a.join();
  expect(slotOf(newKey())).toBe(1);
  expect(await slotsIn(a.db)).toHaveLength(63);
});

test("commands reserve blocks of one slot, each after the one before and after all keys in the database", async () => {
  const { db, join } = open();
  const blocks = await Promise.all(Array.from({ length: 5 }, () => reserveKeys(db)));
  const firsts = blocks.map((block) => block.next()).toSorted((a, b) => a - b);
  expect(firsts.map(slotOf)).toEqual([0, 0, 0, 0, 0]);
  for (const [index, first] of firsts.entries()) expect(first - (firsts[index - 1] ?? first - 128)).toBeGreaterThanOrEqual(128);
  await join();
  const key = newKey();
  await db.run(
    "insert into sources (id, name, kind, base_url, sealed_credential, max_polls_per_second, created_at, updated_at) values ($1, 'n', 'k', 'u', '', 1, 1, 1)",
    key,
  );
  const later = (await reserveKeys(db)).next();
  expect(later).toBeGreaterThan(key);
  expect(encodeId("key", later) > encodeId("key", key)).toBe(true);
});
