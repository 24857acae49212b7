import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

/*
 * A server that is killed: `crash-victim.ts <database>` registers one watch after the other without an end and prints
 * each id when its registration was answered.
 */
const [path] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: crash-victim.ts <database>");
const world = new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
for (let n = 0; ; n++) {
  await Promise.all(
    [0, 1, 2].map(async (lane) => {
      const callSid = `OUT-${n}-${lane}`;
      const { view } = await world.watch(callSid);
      await world.see(callSid, "queued");
      process.stdout.write(`${view.watch.id}\n`);
    }),
  );
}
