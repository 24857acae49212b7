import pg from "pg";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { beginEpoch } from "../../../src/adapters/postgres/connection/feed-epochs.ts";
import { feedOrder } from "../../../src/adapters/postgres/reading/feed.ts";
import { CursorGoneError } from "../../../src/domain/errors.ts";
import { decodeId } from "../../../src/domain/ids.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import type { TestInstance } from "../../harness/postgres/postgres-database.ts";
import { asAdministrator } from "../../harness/postgres/postgres-server.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

const everything = { limit: 50, sinceMs: null, types: null, orTerminal: false, callSid: null };

let database: TestPostgres;
let instance: TestInstance;
beforeEach(async () => {
  database = await TestPostgres.create();
  instance = await database.openAlone(testPolicy);
});
afterEach(async () => {
  await instance.store.close();
  await database.dispose();
});

async function read({ store }: StoreWorld, accountId: string, cursor: string | null) {
  const { data, nextCursor } = await store.readFeed({ ...everything, accountId, cursor });
  return { sids: data.map(({ event }) => ("callSid" in event.data ? event.data.callSid : null)), nextCursor };
}

async function see(world: StoreWorld, callSid: string): Promise<void> {
  await world.watch(callSid);
  await world.see(callSid, "queued");
}

const insertEvent = `insert into events (feed_order, id, account_id, type, terminal, timestamp, data, created_at)
  values (${feedOrder}, $1, $2, 'call.queued', false, 1, '{}', 1)`;

const name = () => new URL(database.url).pathname.slice(1);
const asAdmin = (sql: string) => asAdministrator(inject("postgresUrl"), sql);
/** Ends every connection to a database, and resolves when the instance has noticed. */
async function disconnect(databaseName: string): Promise<void> {
  await asAdmin(`select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '${databaseName}'`);
  await new Promise(setImmediate);
}

test("an instance that reconnects to a restored database refuses cursors past what was restored", async () => {
  const world = new StoreWorld(instance.store);
  const { id: accountId } = await world.account();
  await see(world, "OUT-1");
  const inCopy = await read(world, accountId, null);
  // The restored database is the copy under the old name; the instance runs on.
  await disconnect(name());
  await asAdmin(`create database ${name()}_copy template ${name()} strategy file_copy`);
  await see(world, "OUT-lost");
  const past = await read(world, accountId, inCopy.nextCursor);
  expect(past.sids).toEqual(["OUT-lost"]);
  await asAdmin(`drop database ${name()} with (force)`);
  await asAdmin(`alter database ${name()}_copy rename to ${name()}`);

  await see(world, "OUT-2");
  await expect(read(world, accountId, past.nextCursor)).rejects.toThrow(CursorGoneError);
  const next = await read(world, accountId, inCopy.nextCursor);
  expect(next.sids).toEqual(["OUT-2"]);
  // The newest event is purged and the server restarts, as far as the epochs can see: the cursor stays good.
  const { data } = await world.store.listWatches({ accountId, status: null, callSid: "OUT-2", limit: 1, cursor: null });
  await world.store.removeWatch({ by: null, accountId, watchId: data[0]?.watch.id ?? "", purge: true, nowMs: world.nowMs });
  await instance.db.run("update feed_epochs set origin = 'another start of the server'");
  await disconnect(name());
  const second = new StoreWorld((await database.openBeside(testPolicy)).store);
  expect((await read(second, accountId, next.nextCursor)).sids).toEqual([]);
  await second.store.close();
  // A reconnect to the same database begins no epoch.
  const count = async () => (await instance.db.get("select count(*) as n from feed_epochs"))?.["n"];
  const before = await count();
  await disconnect(name());
  await see(world, "OUT-3");
  expect(await count()).toBe(before);
  expect((await read(world, accountId, next.nextCursor)).sids).toEqual(["OUT-3"]);
});

test("an epoch after a restore into a server with smaller transaction ids begins above every place of before", async () => {
  const world = new StoreWorld(instance.store);
  const { id: accountId } = await world.account();
  await see(world, "OUT-1");
  await instance.db.run("update events set feed_order = feed_order + 1000000000");
  await instance.db.run("update feed_epochs set feed_order = feed_order + 1000000000");
  await instance.db.run("insert into feed_starts select account_id, 3000000000, 0 from events");
  await instance.db.run("delete from events");
  await instance.db.beginEpoch();
  const begin = await read(world, accountId, null);
  await see(world, "OUT-2");
  expect((await read(world, accountId, begin.nextCursor)).sids).toEqual(["OUT-2"]);
  expect((await read(world, accountId, null)).sids).toEqual(["OUT-2"]);
});

test("an epoch names server, database, timeline and start of the server", async () => {
  const row = await instance.db.get("select origin from feed_epochs order by id desc limit 1");
  expect(row?.["origin"]).toMatch(/^\d+\/\d+\/[0-9A-F]{8}\/[\d.]+$/);
});

test("a cursor stays good whose event was committed while another instance began an epoch", async () => {
  const world = new StoreWorld(instance.store);
  const { id: accountId } = await world.account();
  const [writer, starter] = [new pg.Client(database.url), new pg.Client(database.url)];
  for (const client of [writer, starter]) await client.connect();
  // Timeline: an event is written, the epoch is written, the event is committed and read, the epoch is committed.
  await writer.query("begin");
  await writer.query(insertEvent, ["evt_1", decodeId(accountId)]);
  const [written, mayCommit] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const paused = {
    query: async (text: string, values: readonly unknown[] = []) => {
      if (text === "commit") {
        written.resolve();
        await mayCommit.promise;
      }
      return starter.query(text, [...values]);
    },
  };
  const starting = beginEpoch(paused as unknown as pg.ClientBase, "origin", "start");
  await written.promise;
  await writer.query("commit");
  const page = await instance.store.readFeed({ ...everything, accountId, cursor: null });
  expect(page.data).toHaveLength(1);
  mayCommit.resolve();
  await starting;
  expect((await read(world, accountId, page.nextCursor)).sids).toEqual([]);
  for (const client of [writer, starter]) await client.end();
});

test("no reader is refused while three instances restart in turn under load", { timeout: 60_000 }, async () => {
  let instances = [instance, await database.openBeside(testPolicy), await database.openBeside(testPolicy)];
  const world = new StoreWorld(instance.store);
  const { id: accountId } = await world.account();
  const state = { isWriting: true, isAllWritten: false, written: 0 };
  const write = async (writer: number) => {
    for (let n = 0; state.isWriting; n++) {
      const { db } = instances[writer % instances.length] ?? instance;
      // A store that is closing refuses; the next round asks another one.
      const isWritten = await db.run(insertEvent, `evt_${writer}_${n}`, decodeId(accountId)).then(
        () => true,
        () => false,
      );
      if (isWritten) state.written += 1;
    }
  };
  const readers = [0, 1, 2, 3].map(async (reader) => {
    const seen: string[] = [];
    let cursor: string | null = null;
    for (let isLast = false; !isLast;) {
      isLast = state.isAllWritten;
      for (let left = 200; left === 200;) {
        const { store } = instances[(reader + seen.length) % instances.length] ?? instance;
        // A store that is closing is another one's turn; a refused cursor fails the test.
        const page: { data: readonly { event: { id: string } }[]; nextCursor: string } | null = await store
          .readFeed({ ...everything, limit: 200, accountId, cursor })
          .catch((error: unknown) => {
            if (error instanceof CursorGoneError) throw error;
            return null;
          });
        if (page === null) {
          await new Promise(setImmediate);
          continue;
        }
        seen.push(...page.data.map(({ event }) => event.id));
        cursor = page.nextCursor;
        left = page.data.length;
      }
    }
    return seen;
  });
  const writers = [0, 1, 2].map(write);
  const until = async (count: number) => {
    while (state.written < count) await new Promise(setImmediate);
  };
  for (let round = 0; round < 6; round++) {
    await until(state.written + 50);
    const old = instances[round % 3] ?? instance;
    const next = await database.openBeside(testPolicy);
    instances = instances.with(round % 3, next);
    if (old !== instance) await old.store.close();
  }
  await until(state.written + 50);
  state.isWriting = false;
  await Promise.all(writers);
  state.isAllWritten = true;
  const seen = await Promise.all(readers);
  for (const ids of seen) {
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual(seen[0]);
  }
  expect(seen[0]?.length).toBe(state.written);
  for (const { store } of instances) await store.close();
});
