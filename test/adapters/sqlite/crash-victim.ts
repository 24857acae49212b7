import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

/*
 * A server that is killed: `crash-victim.ts <database>` registers one watch after the other without an end and prints
 * each id when its registration was answered. `crash-victim.ts <database> ahead` requests registrations of one account
 * faster than they are answered, so that groups are sent ahead, and prints each number when it was answered.
 */
const [path, ahead] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: crash-victim.ts <database> [ahead]");
const world = new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));

async function registerAhead(): Promise<never> {
  const requested = new Set<Promise<unknown>>();
  for (let number = 0; ; number++) {
    const registered = world.store.registerWatches([await world.watchDraft(`OUT-${number}`)]);
    requested.add(registered);
    void registered.then(() => {
      requested.delete(registered);
      process.stdout.write(`${number}\n`);
    });
    if (requested.size >= 200) await Promise.race(requested);
    // More than one group at a time needs more than one turn.
    if (number % 40 === 0) await new Promise(setImmediate);
  }
}

if (ahead !== undefined) await registerAhead();
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
