import { mkdtemp, open, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { openConnection } from "../../../src/adapters/sqlite/connection/open-connection.ts";
import { openReader } from "../../../src/adapters/sqlite/connection/open-reader.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { Checkpointer } from "../../../src/adapters/sqlite/writer-thread/checkpointer.ts";
import { eventually } from "../../harness/service/eventually.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

async function newPath(): Promise<{ readonly folder: string; readonly path: string }> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-checkpoint-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return { folder, path: join(folder, "ringback.db") };
}

/** Returns how often the write-ahead log has started over: "checkpoint sequence number" in https://sqlite.org/fileformat2.html#walformat. */
async function countLogs(path: string): Promise<number> {
  const file = await open(`${path}-wal`);
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 12);
  await file.close();
  return buffer.readUInt32BE();
}

test("what was committed is copied into the database file while the store goes on, and is all there after its end", async () => {
  const { folder, path } = await newPath();
  const world = new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
  const register = async (prefix: string) => {
    const drafts = await Promise.all(Array.from({ length: 1000 }, (_, n) => world.watchDraft(`OUT-${prefix}-${n}`)));
    await world.store.registerWatches(drafts);
  };
  await register("a");
  await eventually(
    async () => (await stat(path)).size,
    (bytes) => bytes > 500_000,
  );
  await register("b");
  await world.store.close();
  // The log is gone: nothing is left to be copied.
  expect((await readdir(folder)).toSorted()).toEqual(["ringback.db", "ringback.lock"]);
  const again = await openSqliteStore({ path, policy: testPolicy });
  expect((await again.readStats()).watchesByStatus["active"]).toBe(2000);
  await again.close();
});

/** A writer, a checkpointer, and two readers that release a snapshot only once the other has one, unless they are paused. */
async function openReadAllTheTime() {
  const { path } = await newPath();
  const { connection, lock } = openConnection(path);
  connection.exec("create table filler (content blob)");
  const insert = connection.prepare("insert into filler values (zeroblob(1000000))");
  const readers = [openReader(path), openReader(path)] as const;
  const seen = { isPaused: false, pauses: 0, resumes: 0, logBytesAtPause: 0, logsAtPause: 0 };
  const checkpointer = new Checkpointer(path, {
    pause: async () => {
      seen.logsAtPause = await countLogs(path);
      seen.logBytesAtPause = (await stat(`${path}-wal`)).size;
      for (const reader of readers) if (reader.isTransaction) reader.exec("commit");
      seen.isPaused = true;
      seen.pauses += 1;
    },
    resume: () => {
      seen.isPaused = false;
      seen.resumes += 1;
    },
  });
  onTestFinished(async () => {
    for (const reader of readers) reader.close();
    connection.close();
    lock?.close();
    await checkpointer.close();
  });
  let turns = 0;
  const commit = async () => {
    const [next, last] = turns++ % 2 === 0 ? readers : readers.toReversed();
    if (!seen.isPaused) next?.exec("begin; select count(*) from sqlite_schema");
    if (last?.isTransaction === true) last.exec("commit");
    insert.run();
    checkpointer.onCommit();
    await setImmediate();
  };
  return { path, seen, commit };
}

test("a log that snapshots keep from starting over grows until it is too long, then the reads are paused until it starts over", async () => {
  const { path, seen, commit } = await openReadAllTheTime();
  await commit();
  const logs = await countLogs(path);
  // A pause is short, so a busy disk may need another one.
  while ((await countLogs(path)) === logs) await commit();
  expect(seen.pauses).toBeGreaterThanOrEqual(1);
  expect(seen.logsAtPause).toBe(logs);
  expect(seen.logBytesAtPause).toBeGreaterThan(32 * 1024 * 1024);
});

test("the reads are not paused for long by a snapshot of another process", async () => {
  const { path, seen, commit } = await openReadAllTheTime();
  const foreign = openReader(path);
  onTestFinished(() => foreign.close());
  foreign.exec("begin; select count(*) from sqlite_schema");
  await commit();
  const logs = await countLogs(path);
  while (seen.pauses === 0) await commit();
  const pausedMs = performance.now();
  while (seen.resumes === 0) await setImmediate();
  expect(performance.now() - pausedMs).toBeGreaterThan(500);
  expect(await countLogs(path)).toBe(logs);
  // The next pause is seconds away.
  for (let n = 0; n < 5; n++) await commit();
  expect(seen).toMatchObject({ pauses: 1, isPaused: false });
});

test("a log that a snapshot of another process made long is reported once, and short soon after the snapshot ended", async () => {
  const { path } = await newPath();
  const { connection, lock } = openConnection(path);
  connection.exec("create table filler (content blob)");
  const insert = connection.prepare("insert into filler values (zeroblob(1000000))");
  const reported: number[] = [];
  let resumes = 0;
  const reads = { pause: async () => undefined, resume: () => void resumes++ };
  const checkpointer = new Checkpointer(path, reads, { onLongLog: (bytes) => reported.push(bytes), reportedBytes: 80_000_000 });
  const foreign = openReader(path);
  onTestFinished(async () => {
    connection.close();
    lock?.close();
    await checkpointer.close();
  });
  const logBytes = async () => (await stat(`${path}-wal`)).size;
  for (let round = 1; round <= 2; round++) {
    foreign.exec("begin; select count(*) from sqlite_schema");
    while ((await logBytes()) < 100_000_000) {
      insert.run();
      checkpointer.onCommit();
      await setImmediate();
    }
    await eventually(
      async () => reported.length,
      (count) => count === round,
    );
    // A gap between the reads would shorten it as well.
    await eventually(
      async () => resumes,
      (count) => count > 0,
    );
    // No commit follows.
    foreign.exec("commit");
    await eventually(logBytes, (bytes) => bytes <= 64 * 1024 * 1024, 55_000);
  }
  foreign.close();
  expect(reported).toHaveLength(2);
});

test("a log that starts over is not longer than 64 MiB", async () => {
  const { path } = await newPath();
  const { connection, lock } = openConnection(path);
  onTestFinished(() => {
    connection.close();
    lock?.close();
  });
  connection.exec("create table filler (content blob); pragma wal_autocheckpoint = 0");
  for (let n = 0; n < 90; n++) connection.exec("insert into filler values (zeroblob(1000000))");
  const { size } = await stat(`${path}-wal`);
  expect(size).toBeGreaterThan(80_000_000);
  connection.exec("pragma wal_checkpoint(passive); insert into filler values (1); insert into filler values (2)");
  expect((await stat(`${path}-wal`)).size).toBe(64 * 1024 * 1024);
});

test("a log starts over beside reads and commits that never pause", async () => {
  const { path } = await newPath();
  const world = new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
  const { id: accountId } = await world.account();
  // Each type is looked up by itself, so this read takes long and returns nothing.
  const types = Array.from({ length: 10_000 }, (_, n) => `unknown.${n}`);
  const query = { accountId, limit: 1, cursor: null, sinceMs: null, callSid: null, types, orTerminal: false };
  const reading = { isOver: false };
  const readers = Array.from({ length: 3 }, async () => {
    while (!reading.isOver) await world.store.readFeed(query);
  });
  let calls = 0;
  const commit = async (count: number, bytes: number) => {
    const wish = { metadata: { note: "x".repeat(bytes) } };
    const drafts = await Promise.all(Array.from({ length: count }, () => world.watchDraft(`OUT-${calls++}`, wish)));
    await world.store.registerWatches(drafts);
  };
  // Together longer than the longest log.
  for (let batch = 0; batch < 4; batch++) await commit(500, 20_000);
  const logs = await countLogs(path);
  const deadlineMs = performance.now() + 15_000;
  while ((await countLogs(path)) === logs && performance.now() < deadlineMs) await commit(10, 100);
  reading.isOver = true;
  await Promise.all(readers);
  expect(await countLogs(path)).toBeGreaterThan(logs);
  await world.store.close();
});
