import type { DatabaseSync, StatementSync } from "node:sqlite";
import { expect, test } from "vitest";
import { Database } from "../../../src/adapters/sqlite/connection/database.ts";
import { openConnection } from "../../../src/adapters/sqlite/connection/open-connection.ts";
import { bindOperations, runOperation } from "../../../src/adapters/sqlite/operations.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { minute, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

/** A store on a connection of this thread that counts the statements and the rows that they return. */
function openCounted() {
  const { connection } = openConnection(":memory:");
  let read = 0;
  const count = (statement: StatementSync): StatementSync => {
    const [all, get] = [statement.all.bind(statement), statement.get.bind(statement)];
    return Object.assign(statement, {
      all: (...args: Parameters<StatementSync["all"]>) => {
        const rows = all(...args);
        read += 1 + rows.length;
        return rows;
      },
      get: (...args: Parameters<StatementSync["get"]>) => {
        read += 1;
        return get(...args);
      },
    });
  };
  const prepare = connection.prepare.bind(connection);
  const statements = new Set<string>();
  connection.prepare = (...args: Parameters<DatabaseSync["prepare"]>) => {
    statements.add(args[0]);
    return count(prepare(...args));
  };
  const db = new Database(connection, testPolicy);
  const world = new StoreWorld(bindOperations(async (operation, args) => runOperation(db, operation, args)) as ServiceStore);
  const readBy = async (run: () => Promise<unknown>) => {
    const before = read;
    await run();
    return read - before;
  };
  /** Ways in which the statements enter the index of a call's watches. */
  const entries = () =>
    [...statements]
      .filter((sql) => sql.includes("watches_by_call"))
      .flatMap((sql) => prepare(`explain query plan ${sql}`).all())
      .map((row) => String(row["detail"]))
      .filter((step) => step.includes("watches_by_call"));
  return { world, readBy, entries };
}

test("one more watch of a call reads as much as the first ones, whether the status is unknown, known or stale", async () => {
  const { world, readBy, entries } = openCounted();
  await world.hook("https://hooks.example/", { events: ["terminal"] });
  let made = 0;
  const register = () => world.watch("OUT-1", { url: `https://r${made++}.example/` });
  const reads: number[][] = [];
  for (const further of [3, 700]) {
    for (let n = 0; n < further; n++) await register();
    const unknown = await readBy(register);
    await world.see("OUT-1", `status-${further}`);
    while (world.call("OUT-1").isUnfinished) await world.portion("OUT-1");
    const current = await readBy(register);
    world.pass(2 * minute);
    const stale = await readBy(register);
    const removed = await register();
    const { accountId, id: watchId } = removed.view.watch;
    const removal = await readBy(() => world.store.removeWatch({ by: null, accountId, watchId, purge: false, nowMs: world.nowMs }));
    reads.push([unknown, current, stale, removal]);
  }
  // A repeat is looked for among the watches of one endpoint, not of the account.
  expect(entries().every((step) => step.includes("(call_id=? AND account_id=? AND endpoint_id=?)"))).toBe(true);
  expect(entries().length).toBeGreaterThan(0);
  const [few, many] = reads;
  // The second look at "unknown" knows a status, and so reads as "stale" does.
  expect(many?.slice(1)).toEqual(few?.slice(1));
  expect(many?.[0]).toBeLessThanOrEqual(few?.[2] ?? 0);
});
