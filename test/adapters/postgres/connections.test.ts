import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { Database } from "../../../src/adapters/postgres/connection/database.ts";
import type { Queries } from "../../../src/adapters/postgres/connection/queries.ts";
import { createPostgresStore } from "../../../src/adapters/postgres/store.ts";
import { newId } from "../../../src/domain/ids.ts";
import { InstanceFencedError, StoreOverloadedError, StoreUnavailableError } from "../../../src/domain/errors.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import type { TestInstance } from "../../harness/postgres/postgres-database.ts";
import { only, startMs, statusChange, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

let database: TestPostgres;
let instance: TestInstance;
let world: StoreWorld;
let outside: pg.Client;

beforeEach(async () => {
  database = await TestPostgres.create();
  instance = await database.openAlone(testPolicy);
  world = new StoreWorld(instance.store);
  outside = new pg.Client({ connectionString: database.url });
  await outside.connect();
});
afterEach(async () => {
  await outside.end();
  await instance.store.close();
  await database.dispose();
});

/** Returns the process of the connection that waits for a lock. */
async function waitingProcess(): Promise<number> {
  for (;;) {
    const { rows } = await outside.query<{ pid: number }>(
      "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    const [row] = rows;
    if (row !== undefined) return row.pid;
  }
}

describe("a connection that breaks in the middle of a transaction", () => {
  it.each([
    ["before anything is written", "calls"],
    ["between the statements that write", "count_changes"],
  ])("%s leaves nothing of it", async (_, table) => {
    await world.watch("OUT-1");
    const commit = world.commitOf("OUT-1", [statusChange("queued")]);
    await outside.query(`begin; lock table ${table} in access exclusive mode`);
    const refused = expect(instance.store.commitCall(commit)).rejects.toThrow(StoreUnavailableError);
    await outside.query("select pg_terminate_backend($1)", [await waitingProcess()]);
    await refused;
    await outside.query("commit");
    const { rows } = await outside.query("select (select count(*)::int from events) as events, (select version from calls) as version");
    expect(rows).toEqual([{ events: 0, version: 1 }]);
    const again = await instance.store.commitCall(commit);
    expect(again.kind === "committed" && only(again.jobs).event.type).toBe("call.queued");
  });

  it("fails its batch and nothing after it", async () => {
    const drafts = [];
    for (let n = 0; n < 5; n++) drafts.push(await world.watchDraft(`OUT-${n}`));
    await outside.query("begin; lock table accounts in access exclusive mode");
    const refused = drafts.map((draft) => expect(instance.store.registerWatches([draft])).rejects.toThrow(StoreUnavailableError));
    await outside.query("select pg_terminate_backend($1)", [await waitingProcess()]);
    await Promise.all(refused);
    await outside.query("commit");
    expect(await instance.store.registerWatches(drafts)).toMatchObject(drafts.map(() => ({ kind: "created" })));
  });
});

async function expectRefused(port: number): Promise<void> {
  const owner = { token: 1, hasPeers: false };
  const db = new Database({ connectionString: `postgres://x:x@127.0.0.1:${port}/x`, policy: testPolicy, owner });
  const store = createPostgresStore(db);
  await Promise.all(
    [store.findOldestAccount(), store.registerWatches([]), store.checkWritable()].map((asked) =>
      expect(asked).rejects.toThrow(StoreUnavailableError),
    ),
  );
  await store.close();
}

describe("a server that does not answer", () => {
  it("rejects an operation that waits too long for a lock", async () => {
    await world.watch("OUT-1");
    await outside.query("begin; lock table calls in access exclusive mode");
    await expect(world.see("OUT-1", "queued")).rejects.toThrow(StoreUnavailableError);
    await outside.query("rollback");
    await world.see("OUT-1", "queued");
  });

  it("rejects operations if the port is closed or silent", async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void silent.close());
    await expectRefused(1);
    await expectRefused((silent.address() as AddressInfo).port);
  });
});

const readCalls = (db: Queries) => db.get("select 1 from calls");

describe("the callback of failed operations", () => {
  it("is called once for each statement or transaction that was not answered, and not for an eviction", async () => {
    let calls = 0;
    const other = await database.openBeside(testPolicy, { onUnavailable: () => (calls += 1) });
    onTestFinished(() => other.store.close());
    await database.evict(other);
    await expect(other.db.ownerTransaction((tx) => tx.get("select 1"))).rejects.toThrow(InstanceFencedError);
    await other.db.get("select 1");
    expect(calls).toBe(0);
    await outside.query("begin; lock table calls in access exclusive mode");
    const failed = [readCalls(other.db), other.db.transaction((tx) => Promise.all([readCalls(tx), readCalls(tx)]))];
    await Promise.all(failed.map((operation) => expect(operation).rejects.toThrow(StoreUnavailableError)));
    await outside.query("rollback");
    expect(calls).toBe(2);
  });
});

describe("an instance that is frozen inside a transaction", () => {
  it("does not block other instances for long, and repeats the transaction", async () => {
    // Timeline: the instance locks the endpoint and sends nothing more; another one registers for the same URL; the instance continues.
    await world.watch("OUT-1");
    const other = await database.openBeside(testPolicy);
    onTestFinished(() => other.store.close());
    const [locked, resume] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let tries = 0;
    const still = instance.db.transaction(async (tx) => {
      tries += 1;
      await tx.run("select 1 from endpoints for update");
      locked.resolve();
      await resume.promise;
      return tx.get("select count(*)::int as watches from watches");
    });
    await locked.promise;
    expect(await new StoreWorld(other.store).register("OUT-2")).toMatchObject({ kind: "created" });
    resume.resolve();
    expect(await still).toEqual({ watches: 2 });
    expect(tries).toBe(2);
  });

  it("repeats the transaction also if the next statement is the first to fail", async () => {
    let tries = 0;
    const answer = await instance.db.transaction(async (tx) => {
      tries += 1;
      if (tries === 1) {
        await tx.run("set local idle_in_transaction_session_timeout = 20");
        // The event loop stalls, so nothing is read from the connection.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      }
      return tx.get("select 1 as one");
    });
    expect({ answer, tries }).toEqual({ answer: { one: 1 }, tries: 2 });
  });
});

describe("connections", () => {
  it("are left to other accounts by one with hundreds of reads that take long", async () => {
    await world.watch("OUT-1");
    const { id: accountId } = await world.account();
    const { id: otherId } = await world.account("other");
    await outside.query("begin; lock table events in access exclusive mode");
    const reads = Promise.allSettled(
      Array.from({ length: 300 }, () => instance.store.listRecentEvents({ accountId, limit: 10, types: null, orTerminal: false })),
    );
    // All that get a connection wait for the table then.
    for (let looks = 0; looks < 20; looks++) await waitingProcess();
    expect(await instance.store.listEndpoints({ accountId: otherId, limit: 10, cursor: null })).toMatchObject({ data: [] });
    expect(await new StoreWorld(instance.store).register("OUT-2", { accountId: otherId })).toMatchObject({ kind: "created" });
    await outside.query("rollback");
    expect(new Set((await reads).map(({ status }) => status))).toEqual(new Set(["fulfilled"]));
  });
});

describe("a wait for a connection", () => {
  it("that takes too long rejects as if the database could not be reached", async () => {
    const owner = { token: null, hasPeers: false };
    const db = new Database({ connectionString: database.url, policy: testPolicy, owner, poolSize: 1 });
    onTestFinished(() => db.close());
    const [begun, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const holding = db.of("a").transaction(async () => {
      begun.resolve();
      await over.promise;
    });
    await begun.promise;
    await expect(db.of("b").get("select 1")).rejects.toThrow(StoreUnavailableError);
    over.resolve();
    await holding.catch(() => undefined);
    expect(await db.of("b").get("select 1 as one")).toEqual({ one: 1 });
  });
});

describe("a hook that is deleted while it is registered again", () => {
  it("is made a second time", async () => {
    const hook = "https://hook.example/";
    const first = await world.registerHook(hook, { events: null });
    await outside.query("begin; select 1 from endpoints for update");
    const again = world.registerHook(hook, { events: null });
    await waitingProcess();
    await outside.query("delete from hooks; commit");
    const [made, before] = [await again, first].map((result) => (result.kind === "created" ? result.view.id : result.kind));
    expect([made?.startsWith("hk_"), made === before]).toEqual([true, false]);
  });
});

describe("the queue of a hot operation", () => {
  it("is bounded", async () => {
    const store = createPostgresStore(instance.db, 6);
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => store.registerWatches([])));
    expect(
      results.map((result) => (result.status === "fulfilled" ? "taken" : result.reason instanceof StoreOverloadedError && "refused")),
    ).toEqual(["taken", "taken", "taken", "refused", "refused"]);
  });

  it("fails a faulty item alone", async () => {
    const good = await world.watchDraft("OUT-1");
    const bad = { ...(await world.watchDraft("OUT-2", { url: "https://other.example/" })), accountId: newId("acc", startMs) };
    const [first, second] = await Promise.allSettled([instance.store.registerWatches([bad]), instance.store.registerWatches([good])]);
    expect(first.status).toBe("rejected");
    expect(second).toMatchObject({ status: "fulfilled", value: [{ kind: "created" }] });
  });
});

describe("a connection", () => {
  it("commits durably although the database is set otherwise", async () => {
    const { rows } = await outside.query<{ name: string }>("select current_database() as name");
    await outside.query(`alter database ${rows[0]?.name} set synchronous_commit = off`);
    const other = await database.openBeside(testPolicy);
    onTestFinished(() => other.store.close());
    expect(await other.db.get("select current_setting('synchronous_commit') as value")).toEqual({ value: "on" });
  });

  it("accepts text with a NUL character", async () => {
    await world.watch("OUT-1");
    const { call, jobs } = await world.see("OUT-1", "queued", "a\0b");
    expect(only(jobs).event.data).toMatchObject({ reason: "a\0b" });
    expect(call?.status.reason).toBe("a\0b");
    const { accountId } = only(jobs).event;
    expect(await instance.store.getCall({ accountId, sourceName: "def\0ault", callSid: "OUT-1" })).toBeNull();
  });

  it("keeps working after a newer version has changed the tables", async () => {
    await world.watch("OUT-1");
    await world.see("OUT-1", "queued");
    await outside.query(
      "alter table watches add column later text; alter table calls add column later text; alter table endpoints add column later text",
    );
    await world.watch("OUT-2");
    expect((await world.see("OUT-2", "queued")).jobs).toHaveLength(1);
    expect((await world.see("OUT-1", "calling")).notices).toHaveLength(1);
  });

  it("to a server that became a replica is closed", async () => {
    await world.watch("OUT-1");
    const { rows } = await outside.query<{ name: string }>("select current_database() as name");
    await outside.query(`alter database ${rows[0]?.name} set default_transaction_read_only = on`);
    const other = database.openReader(testPolicy);
    onTestFinished(() => other.store.close());
    await expect(other.store.checkWritable()).rejects.toThrow(StoreUnavailableError);
    expect(await other.store.findOldestAccount()).not.toBeNull();
  });
});
