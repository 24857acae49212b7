import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openConnection } from "../../../src/adapters/sqlite/connection/open-connection.ts";
import { openReader } from "../../../src/adapters/sqlite/connection/open-reader.ts";
import { isReadersRead, operationNumbers } from "../../../src/adapters/sqlite/operations.ts";
import type { OperationNumber, OperationPort } from "../../../src/adapters/sqlite/operations.ts";
import { ReadQueue } from "../../../src/adapters/sqlite/reader-thread/read-queue.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { CursorInvalidError, StartupError, StoreOverloadedError, StoreUnavailableError } from "../../../src/domain/errors.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";
import { live } from "../../harness/store-life.ts";

let folder: string;
let path: string;
const open: { close(): Promise<void> }[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-reader-"));
  path = join(folder, "ringback.db");
});
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  await rm(folder, { recursive: true });
});

async function openStore(): Promise<ServiceStore> {
  const store = await openSqliteStore({ path, policy: testPolicy });
  open.push(store);
  return store;
}

async function openWorld(): Promise<StoreWorld> {
  return new StoreWorld(await openStore());
}

/** A world whose watches take longer to list than a commit takes. */
async function fullWorld() {
  const world = await openWorld();
  const { id: accountId } = await world.account();
  for (let batch = 0; batch < 4; batch++) {
    const drafts = await Promise.all(Array.from({ length: 1000 }, (_, n) => world.watchDraft(`OUT-${batch}-${n}`)));
    await world.store.registerWatches(drafts);
  }
  const all = { accountId, status: null, callSid: null, limit: 5000, cursor: null };
  return { world, accountId, all, listAll: () => world.store.listWatches(all) };
}

/** Reads the feed from a cursor until a page is empty. */
async function readOn(store: ServiceStore, accountId: string, from: string | null) {
  const ids: string[] = [];
  for (let cursor = from; ;) {
    const query = { accountId, limit: 3, cursor, sinceMs: null, callSid: null, types: null, orTerminal: false };
    const page = await store.readFeed(query);
    cursor = page.nextCursor;
    if (page.data.length === 0) return { ids, cursor };
    ids.push(...page.data.map(({ event }) => event.id));
  }
}

const steps = ["see", "hook", "remove"] as const;

/** Writes for a call of its own, one step after the other, and compares what each write left with the reads right after it. */
async function writeAndRead(world: StoreWorld, callSid: string, wanted: readonly (typeof steps)[number][]): Promise<void> {
  const { store } = world;
  const { id: accountId } = await world.account();
  const page = { accountId, limit: 200, cursor: null };
  const watchId = (await world.watch(callSid)).view.watch.id;
  let sequence = 0;
  let hooks = 0;
  for (const step of wanted) {
    switch (step) {
      case "see":
        await world.see(callSid, sequence++ % 2 === 0 ? "queued" : "calling");
        break;
      case "hook": {
        const { view } = await world.hook(`https://${callSid}.example/${hooks++}`, { events: ["watch.expired"] });
        expect(await store.getHook(accountId, view.id)).not.toBeNull();
        break;
      }
      case "remove":
        await store.removeWatch({ by: null, accountId, watchId, purge: true, nowMs: world.nowMs });
        expect(await store.getWatch(accountId, watchId)).toBeNull();
        expect(await store.listWatchEvents({ ...page, watchId })).toBeNull();
        return;
    }
    const feed = { ...page, sinceMs: null, callSid, types: null, orTerminal: false };
    const [view, watches, events, deliveries, fed] = await Promise.all([
      store.getWatch(accountId, watchId),
      store.listWatches({ ...page, status: null, callSid }),
      store.listWatchEvents({ ...page, watchId }),
      store.listDeliveries({ ...page, endpointId: null, watchId, status: null }),
      store.readFeed(feed),
    ]);
    expect(view?.watch.sequence).toBe(sequence);
    expect(watches.data.map(({ watch }) => watch.id)).toEqual([watchId]);
    expect([events?.data.length, deliveries.data.length, fed.data.length]).toEqual([sequence, sequence, sequence]);
  }
}

describe("a read in the reader thread", () => {
  it("sees every write that was answered before it", async () => {
    const world = await openWorld();
    let writers = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.constantFrom(...steps), { maxLength: 6 }), { minLength: 1, maxLength: 8 }),
        async (together) => {
          await Promise.all(together.map((wanted) => writeAndRead(world, `OUT-${writers++}`, wanted)));
        },
      ),
      { numRuns: 20 },
    );
  });

  it("follows the feed in commit order beside commits, and finds every event that was answered before", async () => {
    const world = await openWorld();
    const { store } = world;
    const { id: accountId } = await world.account();
    const sids = Array.from({ length: 12 }, (_, n) => `OUT-${n}`);
    for (const sid of sids) await world.watch(sid);
    const answered: string[] = [];
    const committing = { isOver: false };
    const commits = Promise.all(
      sids.map(async (sid) => {
        for (let n = 0; n < 25; n++)
          answered.push(...(await world.see(sid, n % 2 === 0 ? "queued" : "calling")).jobs.map((job) => job.event.id));
      }),
    ).finally(() => (committing.isOver = true));
    const seen: string[] = [];
    let cursor: string | null = null;
    while (!committing.isOver) {
      const before = [...answered];
      const page = await readOn(store, accountId, cursor);
      cursor = page.cursor;
      seen.push(...page.ids);
      const known = new Set(seen);
      expect(before.filter((id) => !known.has(id))).toEqual([]);
    }
    await commits;
    seen.push(...(await readOn(store, accountId, cursor)).ids);
    expect(seen).toEqual((await readOn(store, accountId, null)).ids);
    expect(seen).toHaveLength(sids.length * 25);
  });

  it("delays no commit", async () => {
    const { world, listAll } = await fullWorld();
    const list = { isAnswered: false };
    const lists = Promise.all(Array.from({ length: 8 }, () => listAll().then(() => (list.isAnswered = true))));
    let committed = 0;
    for (let n = 0; !list.isAnswered; n++) {
      await world.watch(`OUT-beside-${n}`);
      if (!list.isAnswered) committed += 1;
    }
    expect(committed).toBeGreaterThan(0);
    await lists;
  });

  it("leaves no snapshot behind, in any of its operations", async () => {
    const store = await openStore();
    const asked = new Set<string>();
    const watched = new Proxy(store, {
      get: (target, name: keyof OperationPort) => {
        asked.add(name);
        return target[name];
      },
    });
    await live(new StoreWorld(watched));
    const { id: accountId } = await new StoreWorld(watched).account();
    await expect(watched.listHooks({ accountId, limit: 5, cursor: "not a cursor" })).rejects.toThrow(CursorInvalidError);
    await Promise.all([watched.getEndpoint(accountId, "ep_1"), watched.getHook(accountId, "hk_1"), watched.getWatch(accountId, "wch_1")]);
    const names = Object.keys(operationNumbers) as (keyof OperationPort)[];
    const ofReader = names.filter((name) => isReadersRead(operationNumbers[name]));
    expect(ofReader.length).toBeGreaterThan(10);
    expect(ofReader.filter((name) => !asked.has(name))).toEqual([]);
    const connection = new DatabaseSync(path);
    // A snapshot of the log would keep it from being cut.
    expect(connection.prepare("pragma wal_checkpoint(truncate)").get()).toMatchObject({ busy: 0, log: 0 });
    connection.close();
  });
});

describe("the connection of the reader thread", () => {
  it("cannot write", async () => {
    await openStore();
    const connection = openReader(path);
    expect(() => connection.exec("delete from accounts")).toThrow("readonly");
    connection.close();
    const queue = new ReadQueue({ path });
    open.push(queue);
    await queue.open();
    for (const operation of [operationNumbers.ensureHashKey, operationNumbers.findAccountByKey] as readonly OperationNumber[])
      await expect(queue.run(operation, [])).rejects.toThrow(`the reader thread has no operation ${operation}`);
  });

  it("is refused without a write-ahead log", async () => {
    const { connection, lock } = openConnection(path);
    connection.exec("pragma journal_mode = delete");
    connection.close();
    lock?.close();
    const queue = new ReadQueue({ path });
    open.push(queue);
    const refused: unknown = await queue.open().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(StartupError);
    expect((refused as Error).message).toBe(`the database ${path} cannot be read beside its writer: its journal_mode is delete`);
  });
});

async function openQueue(options: Partial<ConstructorParameters<typeof ReadQueue>[0]>) {
  const full = await fullWorld();
  const queue = new ReadQueue({ path, ...options });
  open.push(queue);
  await queue.open();
  const read = () => queue.run(operationNumbers.getHook, [full.accountId, "hk_1"]);
  return { ...full, queue, read, list: () => queue.run(operationNumbers.listWatches, [full.all]) };
}
const namesOf = (outcomes: readonly PromiseSettledResult<unknown>[]) =>
  outcomes.map((outcome) => (outcome.status === "rejected" ? (outcome.reason as Error).name : "answered"));

describe("the queue of reads", () => {
  it("refuses more than it holds, and takes more once that is answered", async () => {
    const { queue, read } = await openQueue({ queueLimit: 3 });
    const refused = StoreOverloadedError.name;
    expect(namesOf(await Promise.allSettled(Array.from({ length: 5 }, read)))).toEqual([
      "answered",
      "answered",
      "answered",
      refused,
      refused,
    ]);
    expect(await read()).toBeNull();
    await queue.close();
    await expect(read()).rejects.toThrow(StoreUnavailableError);
  });

  it("answers a read at its deadline, whether it waits or runs", async () => {
    const { list, read } = await openQueue({ deadlineMs: 1 });
    const outcomes = await Promise.allSettled([list(), list(), list(), read()]);
    expect(namesOf(outcomes)).toEqual(Array.from({ length: 4 }, () => StoreOverloadedError.name));
  });

  it("starts no read while it is paused, and resumes with all of them", async () => {
    const { queue, list, read } = await openQueue({});
    const order: string[] = [];
    const running = Promise.all([list(), list(), list()]).then(() => order.push("lists"));
    await new Promise((resolve) => setImmediate(resolve));
    await queue.pause();
    const waiting = read().then(() => order.push("read"));
    // Others go on.
    const other = new ReadQueue({ path });
    open.push(other);
    await other.open();
    order.push("paused");
    queue.resume();
    await Promise.all([running, waiting]);
    expect(order).toEqual(["paused", "lists", "read"]);
  });
});

describe("the end of the reader", () => {
  it("comes after the accepted reads and before the database is free for another server", async () => {
    const { world, listAll } = await fullWorld();
    let listed = 0;
    const lists = Array.from({ length: 6 }, () => listAll().then(() => listed++));
    const closed = world.store.close();
    await expect(listAll()).rejects.toThrow(StoreUnavailableError);
    await expect(world.store.checkWritable()).rejects.toThrow(StoreUnavailableError);
    while (!(await openStore().catch(() => null)));
    expect(listed).toBe(6);
    await Promise.all([closed, ...lists]);
    for (const store of open.splice(0)) await store.close();
    expect((await readdir(folder)).toSorted()).toEqual(["ringback.db", "ringback.lock"]);
  });

  it("ends the process if the database fails", async () => {
    const world = await openWorld();
    const { id: accountId } = await world.account();
    const connection = new DatabaseSync(path, { defensive: false });
    connection.exec(
      "pragma writable_schema = on; update sqlite_master set rootpage = 999999 where name = 'hooks'; pragma schema_version = 999",
    );
    connection.close();
    const waiting = Promise.allSettled([world.store.getHook(accountId, "hk_1"), world.store.getHook(accountId, "hk_2")]);
    for (const outcome of await waiting) expect(outcome).toMatchObject({ reason: { code: "store-unavailable" } });
    // The checkpoint thread may find it first.
    expect(await world.store.fatal).toBeInstanceOf(Error);
    await expect(world.store.getHook(accountId, "hk_3")).rejects.toThrow("the store is closed");
    await world.store.close();
  });
});
