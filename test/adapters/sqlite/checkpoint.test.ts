import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { eventually } from "../../harness/service/eventually.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

test("what was committed is copied into the database file while the store goes on, and is all there after its end", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ringback-checkpoint-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "ringback.db");
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
