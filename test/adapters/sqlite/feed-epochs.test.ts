import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { backupDatabase } from "../../../src/adapters/sqlite/backup.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { CursorGoneError } from "../../../src/domain/errors.ts";
import { StoreWorld, day, testPolicy } from "../../harness/store-drafts.ts";

const everything = { limit: 50, sinceMs: null, types: null, orTerminal: false, callSid: null };

async function worldOn(path: string): Promise<StoreWorld> {
  return new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
}

async function temporaryPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-epochs-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, "ringback.db");
}

async function read(world: StoreWorld, cursor: string | null) {
  const { id: accountId } = await world.account();
  const { data, nextCursor } = await world.store.readFeed({ ...everything, accountId, cursor });
  return { sids: data.map(({ event }) => ("callSid" in event.data ? event.data.callSid : null)), nextCursor };
}

async function see(world: StoreWorld, callSid: string): Promise<void> {
  await world.watch(callSid);
  await world.see(callSid, "queued");
}

/** Copies a closed file, a running one (the backup command), and a running one that ends by itself. */
test.each(["cp", "backup"])("a cursor past what a copy by %s held is refused, an older one goes on", async (kind) => {
  const path = await temporaryPath();
  let world = await worldOn(path);
  await see(world, "OUT-1");
  const inCopy = await read(world, null);
  if (kind === "backup") await backupDatabase(path, `${path}.copy`);
  else {
    await world.store.close();
    await copyFile(path, `${path}.copy`);
    world = await worldOn(path);
  }
  await see(world, "OUT-lost");
  const past = await read(world, inCopy.nextCursor);
  expect(past.sids).toEqual(["OUT-lost"]);
  await world.store.close();

  await rm(path);
  await copyFile(`${path}.copy`, path);
  world = await worldOn(path);
  // As many new events as were lost, so that the positions alone would look right.
  await see(world, "OUT-2");
  await expect(read(world, past.nextCursor)).rejects.toThrow(CursorGoneError);
  expect((await read(world, inCopy.nextCursor)).sids).toEqual(["OUT-2"]);
  await world.store.close();
});

test("epochs are bounded in age and number, and the end of a kept one stays known", async () => {
  const path = await temporaryPath();
  let world = await worldOn(path);
  const old = await read(world, null);
  await world.store.close();
  world = await worldOn(path);
  const { nextCursor } = await read(world, null);
  const db = new DatabaseSync(path);
  onTestFinished(() => db.close());
  const count = () => db.prepare("select count(*) as n from feed_epochs").get()?.["n"];
  db.exec("update feed_epochs set created_at = 0");
  const clean = () => world.store.deleteExpired({ beforeMs: world.nowMs - 30 * day, nowMs: world.nowMs, limit: 100 });
  await clean();
  expect(count()).toBe(1);
  expect((await read(world, nextCursor)).sids).toEqual([]);
  await expect(read(world, old.nextCursor)).rejects.toThrow(CursorGoneError);
  db.exec(`insert into feed_epochs (epoch, first_position, created_at)
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 12000) select randomblob(8), 1, ${world.nowMs} from n`);
  await clean();
  expect(count()).toBe(10_000);
  await world.store.close();
});
