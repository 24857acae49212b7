import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { Database } from "../../../src/adapters/postgres/connection/database.ts";
import { createPostgresStore } from "../../../src/adapters/postgres/store.ts";
import { StoreOverloadedError, StoreUnavailableError } from "../../../src/domain/errors.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import type { TestInstance } from "../../harness/postgres/postgres-database.ts";
import { only, statusChange, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

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

/** The connection that waits for a lock of somebody else. */
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

  it("fails what was in its batch, and nothing after it", async () => {
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
  it("refuses what it is asked, when it holds a lock for too long", async () => {
    await world.watch("OUT-1");
    await outside.query("begin; lock table calls in access exclusive mode");
    await expect(world.see("OUT-1", "queued")).rejects.toThrow(StoreUnavailableError);
    await outside.query("rollback");
    await world.see("OUT-1", "queued");
  });

  it("refuses what it is asked, when nobody listens there or nobody speaks", async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void silent.close());
    await expectRefused(1);
    await expectRefused((silent.address() as AddressInfo).port);
  });
});

describe("an instance that stands still inside a transaction", () => {
  it("keeps nobody from what it locked, and has the transaction run again", async () => {
    // Timeline: it locks the endpoint and sends nothing more; another one registers for the same URL; it goes on.
    await world.watch("OUT-1");
    const other = await database.openBeside(testPolicy);
    onTestFinished(() => other.store.close());
    const [locked, goesOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let tries = 0;
    const still = instance.db.transaction(async (tx) => {
      tries += 1;
      await tx.run("select 1 from endpoints for update");
      locked.resolve();
      await goesOn.promise;
      return tx.get("select count(*)::int as watches from watches");
    });
    await locked.promise;
    expect(await new StoreWorld(other.store).register("OUT-2")).toMatchObject({ kind: "created" });
    goesOn.resolve();
    expect(await still).toEqual({ watches: 2 });
    expect(tries).toBe(2);
  });

  it("has it run again too when it learns of the end only by what it sends next", async () => {
    let tries = 0;
    const answer = await instance.db.transaction(async (tx) => {
      tries += 1;
      await tx.run("set local idle_in_transaction_session_timeout = 20");
      // The loop stalls: nothing is read from the connection meanwhile.
      if (tries === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      return tx.get("select 1 as one");
    });
    expect({ answer, tries }).toEqual({ answer: { one: 1 }, tries: 2 });
  });
});

describe("the queue of a hot operation", () => {
  it("is bounded", async () => {
    const store = createPostgresStore(instance.db, 3);
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => store.registerWatches([])));
    expect(
      results.map((result) => (result.status === "fulfilled" ? "taken" : result.reason instanceof StoreOverloadedError && "refused")),
    ).toEqual(["taken", "taken", "taken", "refused", "refused"]);
  });

  it("lets what fails fail alone", async () => {
    const good = await world.watchDraft("OUT-1");
    const bad = { ...(await world.watchDraft("OUT-2", { url: "https://other.example/" })), accountId: "acc_unknown" };
    const [first, second] = await Promise.allSettled([instance.store.registerWatches([bad]), instance.store.registerWatches([good])]);
    expect(first.status).toBe("rejected");
    expect(second).toMatchObject({ status: "fulfilled", value: [{ kind: "created" }] });
  });
});

describe("a connection", () => {
  it("waits for the disk, though the database says otherwise", async () => {
    const { rows } = await outside.query<{ name: string }>("select current_database() as name");
    await outside.query(`alter database ${rows[0]?.name} set synchronous_commit = off`);
    const other = await database.openBeside(testPolicy);
    onTestFinished(() => other.store.close());
    expect(await other.db.get("select current_setting('synchronous_commit') as value")).toEqual({ value: "on" });
  });

  it("takes what no text of Postgres can hold", async () => {
    await world.watch("OUT-1");
    const { call, jobs } = await world.see("OUT-1", "queued", "a\0b");
    expect(only(jobs).event.data).toMatchObject({ reason: "a\0b" });
    expect(call?.status.reason).toBe("a\0b");
    const { accountId } = only(jobs).event;
    expect(await instance.store.getCall({ accountId, sourceName: "def\0ault", callSid: "OUT-1" })).toBeNull();
  });

  it("goes on when a newer version has changed the tables under it", async () => {
    await world.watch("OUT-1");
    await world.see("OUT-1", "queued");
    await outside.query(
      "alter table watches add column later text; alter table calls add column later text; alter table endpoints add column later text",
    );
    await world.watch("OUT-2");
    expect((await world.see("OUT-2", "queued")).jobs).toHaveLength(1);
    expect((await world.see("OUT-1", "calling")).notices).toHaveLength(1);
  });

  it("to a server that became a replica is given up", async () => {
    await world.watch("OUT-1");
    const { rows } = await outside.query<{ name: string }>("select current_database() as name");
    await outside.query(`alter database ${rows[0]?.name} set default_transaction_read_only = on`);
    const other = database.openReader(testPolicy);
    onTestFinished(() => other.store.close());
    await expect(other.store.checkWritable()).rejects.toThrow(StoreUnavailableError);
    expect(await other.store.findOldestAccount()).not.toBeNull();
  });
});
