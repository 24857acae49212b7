import type { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { Database } from "../../../src/adapters/sqlite/connection/database.ts";
import { openConnection } from "../../../src/adapters/sqlite/connection/open-connection.ts";
import { bindOperations, runOperation } from "../../../src/adapters/sqlite/operations.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { CrowdedLists } from "../../harness/crowded-lists.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";
import { live } from "../../harness/store-life.ts";

/** Walks that are meant: over the leases of this process, and when the clock is set. */
const meantWalks = [
  /deliveries_leased/,
  // Few calls have more watches than one transaction writes.
  /calls_marked/,
  /= next_(due|attempt)_at - \?1/,
  /from (accounts|account_usage|delivery_counts)/,
  // Sources are few, and every one is asked for; so are the keys found in use.
  /^select \* from sources order by name$/,
  /^SCAN sources$/,
  // Few endpoints are paused or disabled.
  /^SCAN endpoints USING COVERING INDEX endpoints_not_enabled$/,
  /^SCAN used$/,
  // At most a page of each status.
  /^SCAN (newest|of)_\w+$/,
  // A mark is there while it is carried out.
  /^SCAN marks/,
];

/** Every operation on a connection of this thread, and the statements they came to. */
function openTraced() {
  const { connection } = openConnection(":memory:");
  const statements = new Set<string>();
  const prepare = connection.prepare.bind(connection);
  connection.prepare = (...args: Parameters<DatabaseSync["prepare"]>) => {
    statements.add(args[0]);
    return prepare(...args);
  };
  const db = new Database(connection, testPolicy);
  const store = bindOperations(async (operation, args) => runOperation(db, operation, args)) as ServiceStore;
  const planOf = (sql: string) =>
    prepare(`explain query plan ${sql}`)
      .all()
      .map((row) => String(row["detail"]));
  const world = new StoreWorld(store);
  /** Adds many rows and what SQLite makes of them for its plans. */
  const crowd = async () => {
    const lists = await CrowdedLists.prepare(world, { kind: "sqlite", execute: async (sql) => connection.exec(sql) });
    await lists.fill(20_000, "stuck");
    // Of the few endpoints and hooks, a plan may read all.
    for (const table of ["calls", "watches", "events", "deliveries"]) connection.exec(`analyze ${table}`);
    for (const [, read] of lists.lists()) await read();
  };
  return { world, statements, planOf, crowd };
}

describe("query plans", () => {
  it.each(["empty", "analyzed"])(
    "of %s tables: no statement walks through a table, nor through an account for one watch, call, endpoint or type",
    async (state) => {
      const { world, statements, planOf, crowd } = openTraced();
      if (state === "analyzed") await crowd();
      await live(world);
      expect(statements.size).toBeGreaterThan(100);
      const walks = [...statements]
        .map((sql) => sql.replaceAll(/\s+/g, " ").trim())
        .filter((sql) => !/^(insert|pragma|create)/.test(sql))
        .flatMap((sql) => planOf(sql).map((step) => ({ sql, step })))
        .filter(({ sql, step }) => !meantWalks.some((meant) => meant.test(sql) || meant.test(step)))
        .filter(({ sql, step }) => {
          if (step.startsWith("SCAN ")) return !/json_each|CONSTANT ROW|SUBQUERY|\(subquery/i.test(step);
          const narrow = /(call_id|watch_id|endpoint_id|call_sid|e\.terminal|e\.type) (=|in)/.test(sql.slice(sql.lastIndexOf(" where ")));
          return narrow && /(watches|deliveries|events)_by_(account|status) \(account_id=\?\)/.test(step);
        });
      expect(walks).toEqual([]);
    },
  );

  it("a search by metadata enters the index by account and pair", async () => {
    const { world, statements, planOf, crowd } = openTraced();
    await crowd();
    await live(world);
    const searches = [...statements].filter((sql) => sql.startsWith("select watch_id from watch_metadata"));
    expect(searches.flatMap(planOf)).toEqual([
      "SEARCH watch_metadata USING PRIMARY KEY ((account_id,hash)>(?,?) AND (account_id,hash,watch_id)<(?,?,?))",
    ]);
  });

  it("claims find hosts, endpoints and deliveries by what is due", async () => {
    const { world, statements, planOf } = openTraced();
    await live(world);
    const indexOf = (start: string) => {
      const sql = [...statements].find((statement) => statement.replaceAll(/\s+/g, " ").trim().startsWith(start));
      return planOf(sql ?? "").join("; ");
    };
    expect(indexOf("select id, account_id, origin, consecutive_pauses, next_due_at")).toContain("INDEX hosts_due (next_due_at<?)");
    expect(indexOf("select id, account_id, origin, consecutive_pauses, failing_due_at")).toContain(
      "INDEX hosts_failing_due (failing_due_at<?)",
    );
    expect(indexOf("select id, consecutive_pauses, recoveries, recovered_at from endpoints")).toContain(
      "INDEX endpoints_due (host_id=? AND failing=? AND next_due_at<?)",
    );
    // Nearly empty: it holds only pending manual attempts that are not leased.
    expect(indexOf("select d.id, p.state = 'disabled'")).toContain("INDEX deliveries_retried");
    const claims = [...statements].filter((sql) => sql.startsWith("select id, due_at from deliveries where endpoint_id"));
    expect(claims.map((sql) => planOf(sql).join("; ")).toSorted()).toEqual([
      expect.stringContaining("INDEX deliveries_due (endpoint_id=? AND due_at<?)"),
      expect.stringContaining("INDEX deliveries_early (endpoint_id=? AND early_after<?)"),
    ]);
  });
});
