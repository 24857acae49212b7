import pg from "pg";
import { expect, test } from "vitest";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

/** More calls than the store has connections. */
const calls = 16;

test("portions of many calls leave connections to other work, and marks take turns with them", async () => {
  const database = await TestPostgres.create();
  const instance = await database.openAlone({ ...testPolicy, marks: { threshold: 1, portion: 1 } });
  const holder = new pg.Client({ connectionString: database.url });
  try {
    const world = new StoreWorld(instance.store);
    for (let n = 0; n < calls; n++) {
      for (const url of ["https://a.example/", "https://b.example/"]) await world.watch(`OUT-${n}`, { url });
      await world.see(`OUT-${n}`, "calling");
    }
    await holder.connect();
    await holder.query("begin");
    await holder.query("select 1 from calls for update");
    const ended: string[] = [];
    const portions = Promise.all(
      Array.from({ length: calls }, async (_, n) => {
        const portion = await world.portion(`OUT-${n}`);
        ended.push("portion");
        return portion;
      }),
    );
    const other = await world.account("other");
    const sweep = (name: string, accountId: string) =>
      instance.store.sweepMark({ accountId, nowMs: Date.now() }).then(() => ended.push(name));
    const sweeps = [sweep("own sweep", (await world.account()).id), sweep("other's sweep", other.id)];
    // With a connection for each portion this one would wait until they are given up.
    expect((await world.watch("OUT-other", { accountId: other.id })).kind).toBe("created");
    expect(ended).not.toContain("portion");
    await holder.query("rollback");
    expect((await portions).map(({ call }) => call?.isUnfinished)).toEqual(Array.from({ length: calls }, () => true));
    await Promise.all(sweeps);
    expect(ended.indexOf("other's sweep")).toBeLessThan(calls / 2);
    expect(ended.indexOf("own sweep")).toBeGreaterThan(calls / 2);
  } finally {
    await holder.end();
    await instance.store.close();
    await database.dispose();
  }
});
