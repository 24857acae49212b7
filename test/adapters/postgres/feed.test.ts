import fc from "fast-check";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { migrate } from "../../../src/adapters/postgres/migrate.ts";
import { decodeId, newId } from "../../../src/domain/ids.ts";
import { feedOrder } from "../../../src/adapters/postgres/reading/feed.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import type { TestInstance } from "../../harness/postgres/postgres-database.ts";
import { only, startMs, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

const writers = 4;

let database: TestPostgres;
let instance: TestInstance;
let clients: pg.Client[] = [];

beforeEach(async () => {
  database = await TestPostgres.create();
  // These tests leave transactions open on purpose, so a reader must not wait for them.
  instance = await database.openAlone(testPolicy, { feedLingerMs: 0 });
  clients = await Promise.all(
    Array.from({ length: writers }, async () => {
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      return client;
    }),
  );
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.end()));
  await instance.store.close();
  await database.dispose();
});

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("write" as const), writer: fc.nat(writers - 1) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("end" as const), writer: fc.nat(writers - 1), commits: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("read" as const), limit: fc.integer({ min: 1, max: 5 }) }) },
);

const query = { sinceMs: null, types: null, orTerminal: false, callSid: null };

const insertEvent = `insert into events (feed_order, id, account_id, type, terminal, timestamp, data, created_at)
  values (${feedOrder}, $1, $2, 'call.queued', false, 1, '{}', 1)`;

async function turns(n: number): Promise<void> {
  for (let turn = 0; turn < n; turn++) await new Promise(setImmediate);
}

describe("the feed while several write", () => {
  it("skips nothing and repeats nothing in any order of commits", { timeout: 60_000 }, async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const accountId = newId("acc", startMs);
        run += 1;
        const open = new Map<number, string[]>();
        const committed: string[] = [];
        const seen: string[] = [];
        let cursor: string | null = null;
        let made = 0;
        const read = async (limit: number) => {
          const page = await instance.store.readFeed({ accountId, ...query, limit, cursor });
          cursor = page.nextCursor;
          seen.push(...page.data.map(({ event }) => event.id));
          return page.data.length;
        };
        const end = async (writer: number, commits: boolean) => {
          await clients[writer]?.query(commits ? "commit" : "rollback");
          if (commits) committed.push(...(open.get(writer) ?? []));
          open.delete(writer);
        };
        for (const one of steps) {
          if (one.kind === "read") await read(one.limit);
          else if (one.kind === "end") await end(one.writer, one.commits);
          else {
            if (!open.has(one.writer)) await clients[one.writer]?.query("begin");
            const id = `evt_${run}_${++made}`;
            await clients[one.writer]?.query(insertEvent, [id, decodeId(accountId)]);
            open.set(one.writer, [...(open.get(one.writer) ?? []), id]);
          }
        }
        for (const writer of open.keys()) await end(writer, true);
        while (seen.length < committed.length) await read(3);
        expect(seen.toSorted()).toEqual(committed.toSorted());
        // A transaction of another test's database may hide events for a moment, while its lock is acquired or released.
        const readAll = async () =>
          (await instance.store.readFeed({ accountId, ...query, limit: 200, cursor: null })).data.map(({ event }) => event.id);
        let again = await readAll();
        while (again.length < seen.length) again = await readAll();
        expect(again).toEqual(seen);
      }),
      { numRuns: 100 },
    );
  });

  it("skips nothing and repeats nothing while they write concurrently", async () => {
    const accountId = newId("acc", startMs);
    const committed: string[] = [];
    const write = async (client: pg.Client, writer: number) => {
      for (let round = 0; round < 60; round++) {
        const ids = Array.from({ length: 1 + (round % 3) }, (_, n) => `evt_${writer}_${round}_${n}`);
        await client.query("begin");
        for (const id of ids) {
          await client.query(insertEvent, [id, decodeId(accountId)]);
          await turns((writer * 7 + round) % 5);
        }
        const commits = (writer + round) % 9 !== 0;
        await client.query(commits ? "commit" : "rollback");
        if (commits) committed.push(...ids);
      }
    };
    let writing = true;
    const seen: string[] = [];
    const read = async () => {
      let cursor: string | null = null;
      for (let last = false; !last;) {
        last = !writing;
        const page: Awaited<ReturnType<typeof instance.store.readFeed>> = await instance.store.readFeed({
          accountId,
          ...query,
          limit: 200,
          cursor,
        });
        cursor = page.nextCursor;
        seen.push(...page.data.map(({ event }) => event.id));
      }
    };
    const reading = read();
    await Promise.all(clients.map(write));
    writing = false;
    await reading;
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.toSorted()).toEqual(committed.toSorted());
  });

  it("is not delayed by transactions in another database of the server", async () => {
    const world = new StoreWorld(instance.store);
    await world.watch("OUT-1");
    const stranger = new pg.Client({ connectionString: inject("postgresUrl") });
    await stranger.connect();
    try {
      await stranger.query("begin; select pg_current_xact_id()");
      const { accountId, id } = only((await world.see("OUT-1", "queued")).jobs).event;
      const { data } = await instance.store.readFeed({ accountId, ...query, limit: 5, cursor: null });
      expect(data.map(({ event }) => event.id)).toEqual([id]);
    } finally {
      await stranger.end();
    }
  });

  it("waits for an older transaction, so that a reader sees what was committed before", async () => {
    const patient = await database.openBeside(testPolicy);
    try {
      const world = new StoreWorld(instance.store);
      await world.watch("OUT-1");
      const [older] = clients;
      await older?.query("begin; select pg_current_xact_id()");
      const { accountId, id } = only((await world.see("OUT-1", "queued")).jobs).event;
      const read = (from: TestInstance) => from.store.readFeed({ accountId, ...query, limit: 5, cursor: null });
      expect((await read(instance)).data).toEqual([]);
      const reading = read(patient);
      await older?.query("commit");
      expect((await reading).data.map(({ event }) => event.id)).toEqual([id]);
    } finally {
      await patient.store.close();
    }
  });

  it("continues after existing events when the database was restored into a server with smaller transaction ids", async () => {
    const world = new StoreWorld(instance.store);
    await world.watch("OUT-1");
    const before = only((await world.see("OUT-1", "queued")).jobs).event;
    await instance.db.run("update events set feed_order = feed_order + 1000000000");
    await migrate(database.url);
    await world.watch("OUT-2");
    const after = only((await world.see("OUT-2", "queued")).jobs).event;
    const { accountId } = before;
    const seen: string[] = [];
    for (let cursor: string | null = null; seen.length < 2;) {
      const page: Awaited<ReturnType<typeof instance.store.readFeed>> = await instance.store.readFeed({
        accountId,
        ...query,
        limit: 1,
        cursor,
      });
      seen.push(...page.data.map(({ event }) => event.id));
      cursor = page.nextCursor;
    }
    expect(seen).toEqual([before.id, after.id]);
  });
});
