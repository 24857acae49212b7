import type { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { Database } from "../../src/adapters/sqlite/database.ts";
import { openConnection } from "../../src/adapters/sqlite/open-connection.ts";
import { operations } from "../../src/adapters/sqlite/operations.ts";
import type { ServiceStore } from "../../src/ports/service-store.ts";
import { answered, expectKind, hour, secretDraft, StoreWorld, testPolicy } from "../support/store-drafts.ts";

/** Walks that are meant: over the leases of this process, to one end of the events, and when somebody sets the clock. */
const meantWalks = [
  /deliveries_leased/,
  /^select position from events order by position (asc|desc) limit 1$/,
  /= next_(due|attempt)_at - \?1/,
  /from (accounts|account_usage|delivery_counts)/,
  // Sources are few, and every one is asked for; so are the keys found in use.
  /^select \* from sources order by name$/,
  /^SCAN used$/,
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
  const store = Object.fromEntries(
    Object.entries(operations).map(([name, operation]) => [
      name,
      async (...args: readonly unknown[]) => (operation as (db: Database, ...args: readonly unknown[]) => unknown)(db, ...args),
    ]),
  ) as unknown as ServiceStore;
  const planOf = (sql: string) =>
    prepare(`explain query plan ${sql}`)
      .all()
      .map((row) => String(row["detail"]));
  return { world: new StoreWorld(store), statements, planOf };
}

/** A life in which every operation is asked for, with every filter it has. */
async function live(world: StoreWorld): Promise<void> {
  const { store } = world;
  const { id: accountId } = await world.account();
  const quotas = { maxActiveWatches: 99, maxEndpoints: 99, maxHooks: 99 };
  const hook = await world.hook("https://hooks.example/", { events: ["call.*", "endpoint.disabled"], quotas });
  const { view } = await world.watch("OUT-1", { quotas });
  await world.register("OUT-1");
  const { jobs } = await world.see("OUT-1", "queued");
  await world.see("OUT-1", "calling");
  await world.watch("OUT-1", { url: "https://late.example/", polledAtMs: world.nowMs });
  for (const job of jobs) await world.record(job, answered(429));
  world.pass(hour);
  for (const job of (await world.claim()).jobs) await world.record(job, answered(500));
  world.pass(hour);
  await store.releaseDeliveries((await world.claim()).jobs);
  const endpointId = view.endpoint?.id ?? "";
  for (const state of ["disabled", "enabled"] as const)
    await store.patchEndpoint({ accountId, endpointId, patch: { state }, nowMs: world.nowMs });
  await store.recover({ accountId, endpointId, sinceMs: 0, untilMs: world.nowMs, nowMs: world.nowMs });
  await world.record(expectKind(await store.createTest({ accountId, endpointId, nowMs: world.nowMs }), "claimed").job);
  await store.rotateSecret({ accountId, endpointId, secret: secretDraft("new"), previousValidUntilMs: world.nowMs, nowMs: world.nowMs });
  await store.setDefaultSecret({ accountId, secret: secretDraft("default"), nowMs: world.nowMs });
  await store.shiftSchedule(1);
  const page = { accountId, limit: 5, cursor: null };
  const feed = { ...page, sinceMs: null, types: null, orTerminal: false, callSid: null };
  for (const filter of [{}, { sinceMs: 1 }, { callSid: "OUT-1" }, { types: ["call.queued"], orTerminal: true }])
    await store.readFeed({ ...feed, ...filter });
  await store.listRecentEvents({ accountId, types: ["call.queued"], orTerminal: false, limit: 3 });
  const deliveries = { ...page, endpointId: null, watchId: null, status: null };
  for (const filter of [
    {},
    { endpointId },
    { watchId: view.watch.id },
    { status: "failed" as const },
    { endpointId, status: "failed" as const },
  ])
    await store.listDeliveries({ ...deliveries, ...filter });
  for (const filter of [{}, { status: "ended" as const }, { callSid: "OUT-1" }])
    await store.listWatches({ ...page, status: null, callSid: null, ...filter });
  await store.listEndpoints(page);
  await store.listHooks(page);
  await store.listWatchEvents({ ...page, watchId: view.watch.id });
  await store.getCall({ accountId, sourceName: "default", callSid: "OUT-1" });
  await store.getEvent(accountId, jobs[0]?.event.id ?? "");
  await store.getDelivery(accountId, jobs[0]?.deliveryId ?? "");
  await store.claimOne({ accountId, deliveryId: jobs[0]?.deliveryId ?? "", nowMs: world.nowMs });
  await store.findStoredAnswer({ id: "key", accountId, nowMs: world.nowMs, expiresAtMs: world.nowMs });
  await store.completeAnswer({ id: "key", sealed: new Uint8Array() });
  await store.findAccount(accountId);
  await store.listKeys(accountId);
  await store.revokeKey({ keyId: "key_1", nowMs: world.nowMs });
  await store.listSources();
  for (const sourceName of ["default", "sandbox", "another"])
    await store.publishSourceEvent({ type: "source.suspended", sourceName, state: "suspended", reason: null, nowMs: world.nowMs });
  await store.readKeyIds();
  for (const place of ["signing_key", "secret", "headers", "credential", "hash_key"] as const) {
    await store.listSealed({ place, keyId: "00", afterId: null, limit: 3 });
    const value = { place, id: "?", sealed: new Uint8Array(), resealed: new Uint8Array(), fingerprint: "" };
    await store.replaceSealed([value]);
  }
  await store.loadWatchedCalls({ afterCallId: null, limit: 3 });
  await store.readFigures();
  await world.watch("OUT-2", { url: "https://gone.example/" });
  for (const job of (await world.see("OUT-2", "queued")).jobs) await world.record(job, answered(410));
  await store.removeWatch({ accountId, watchId: view.watch.id, purge: false, nowMs: world.nowMs });
  await store.removeWatch({ accountId, watchId: view.watch.id, purge: true, nowMs: world.nowMs });
  await store.removeHook({ accountId, hookId: hook.view.id, nowMs: world.nowMs });
  await store.deleteExpired({ beforeMs: world.nowMs + hour, nowMs: world.nowMs + hour, limit: 10 });
}

describe("query plans", () => {
  it("no statement walks through a table, nor through an account for what belongs to one watch, call or endpoint", async () => {
    const { world, statements, planOf } = openTraced();
    await live(world);
    expect(statements.size).toBeGreaterThan(100);
    const walks = [...statements]
      .map((sql) => sql.replaceAll(/\s+/g, " ").trim())
      .filter((sql) => !/^(insert|pragma|create)/.test(sql))
      .flatMap((sql) => planOf(sql).map((step) => ({ sql, step })))
      .filter(({ sql, step }) => !meantWalks.some((meant) => meant.test(sql) || meant.test(step)))
      .filter(({ sql, step }) => {
        if (step.startsWith("SCAN ")) return !/json_each|CONSTANT ROW|SUBQUERY|\(subquery/i.test(step);
        const narrow = /(call_id|watch_id|endpoint_id|call_sid) (=|in)/.test(sql.slice(sql.lastIndexOf(" where ")));
        return narrow && /(watches|deliveries|events)_by_account \(account_id=\?\)/.test(step);
      });
    expect(walks).toEqual([]);
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
    expect(indexOf("select id, consecutive_pauses from endpoints")).toContain(
      "INDEX endpoints_due (host_id=? AND failing=? AND next_due_at<?)",
    );
    expect(indexOf("select id from deliveries where endpoint_id")).toContain(
      "INDEX deliveries_due (endpoint_id=? AND lease_token=? AND due_at<?)",
    );
  });
});
