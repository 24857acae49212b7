import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";
import { expect, onTestFinished, test, vi } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { runCommandLine } from "../../../src/cli/run-command-line.ts";
import { moveDatabase } from "../../../src/cli/commands/move-database.ts";
import { StartupError } from "../../../src/domain/errors.ts";
import { newId } from "../../../src/domain/ids.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import { answered, ok, StoreWorld, startMs, testPolicy } from "../../harness/store-drafts.ts";

async function databases(): Promise<{ readonly path: string; readonly postgres: TestPostgres }> {
  const folder = await mkdtemp(join(tmpdir(), "ringback-move-"));
  const postgres = await TestPostgres.create();
  onTestFinished(async () => {
    await postgres.dispose();
    await rm(folder, { recursive: true, force: true });
  });
  return { path: join(folder, "ringback.db"), postgres };
}

/** Everything of a world that does not depend on its database. */
async function read(world: StoreWorld) {
  const { store } = world;
  const account = await store.findOldestAccount();
  const accountId = account?.id ?? "";
  const page = { accountId, limit: 200, cursor: null };
  const deliveries = await store.listDeliveries({ ...page, endpointId: null, watchId: null, status: null });
  return {
    account,
    key: await store.findAccountByKey(["fingerprint of a key"], null),
    watches: await store.listWatches({ ...page, status: null, callSid: null }),
    endpoints: await store.listEndpoints(page),
    hooks: await store.listHooks(page),
    deliveries,
    attempts: await Promise.all(deliveries.data.map(({ delivery }) => store.getDelivery(accountId, delivery.id))),
    feed: (await store.readFeed({ accountId, limit: 200, cursor: null, sinceMs: null, types: null, orTerminal: false, callSid: null }))
      .data,
    figures: { ...(await store.readStats()), storeBytes: 0 },
  };
}

test("everything of an embedded database is moved to Postgres, which sends the pending webhooks", async () => {
  const { path, postgres } = await databases();
  const world = new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
  const account = await world.account();
  await world.store.ensureKey({
    id: newId("key", startMs),
    accountId: account.id,
    name: "environment",
    fingerprints: ["fingerprint of a key"],
    nowMs: startMs,
  });
  await world.store.setDefaultSecret({
    by: null,
    accountId: account.id,
    secret: { id: newId("sec", startMs), sealed: new Uint8Array([0, 255, 1]), fingerprints: ["f"] },
    nowMs: startMs,
  });
  await world.watch("OUT-1", { metadata: { lead: "a\0b \u2028 \u{1F600}" }, events: ["terminal"] });
  await world.watch("OUT-2", { url: "https://two.example/" });
  await world.hook("https://hooks.example/");
  for (const status of ["queued", "calling", "success"]) await world.see("OUT-1", status, `reason ${status}`);
  await world.see("OUT-2", "queued");
  const { jobs } = await world.claim();
  const [first, second] = jobs;
  if (first !== undefined) await world.record(first, ok);
  if (second !== undefined) await world.record(second, answered(500));
  await world.store.close();

  const again = new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
  const before = await read(again);
  await again.store.close();
  const pages: { readonly done: number; readonly total: number }[] = [];
  const moved = await moveDatabase({ sqlitePath: path, postgresUrl: postgres.url, onPage: (page) => pages.push(page) });
  const rows = moved.reduce((sum, table) => sum + table.rows, 0);
  expect(pages.at(-1)).toMatchObject({ done: rows, total: rows });
  expect(pages.length).toBeGreaterThan(3);
  expect(moved.find(({ table }) => table === "watches")).toEqual({ table: "watches", rows: 2 });

  const { store, db } = await postgres.openAlone(testPolicy);
  onTestFinished(() => store.close());
  const there = new StoreWorld(store);
  const after = await read(there);
  expect(JSON.parse(JSON.stringify(after))).toEqual(JSON.parse(JSON.stringify(before)));
  expect(after.feed.length).toBeGreaterThan(3);
  expect(await db.all("select call_sid, watched from calls order by call_sid")).toEqual([
    { call_sid: "OUT-1", watched: false },
    { call_sid: "OUT-2", watched: true },
  ]);

  there.nowMs = startMs + 3_600_000;
  const pending = before.deliveries.data.filter(({ delivery }) => delivery.status === "pending");
  expect(pending.length).toBeGreaterThan(0);
  expect((await there.claim({ defaultCapacity: 100 })).jobs.length).toBeGreaterThan(0);
  await there.watch("OUT-3", { url: "https://three.example/" });
  await there.see("OUT-3", "queued");
  expect((await read(there)).feed.at(-1)?.event.data).toMatchObject({ callSid: "OUT-3" });
});

test.each(["", "mysql://elsewhere/db", "sqlite::memory:"])(
  "with both ends named, the environment's database %j does not matter",
  async (url) => {
    const { path, postgres } = await databases();
    const world = new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
    await world.account();
    await world.store.close();
    vi.stubEnv("DATABASE_URL", url);
    vi.stubEnv("RINGBACK_ENCRYPTION_KEY", "");
    onTestFinished(() => void vi.unstubAllEnvs());
    const [out, errors]: [string[], string[]] = [[], []];
    const terminal = {
      out: (line: string) => out.push(line),
      error: (line: string) => errors.push(line),
      signal: new AbortController().signal,
    };
    const code = await runCommandLine(["migrate", "--from", `sqlite:${path}`, "--to", postgres.url, "--json"], terminal);
    expect({ code, errors }).toEqual({ code: 0, errors: [] });
    expect(JSON.parse(out.join(""))).toMatchObject({ encryption_key: { origin: join(dirname(path), "encryption.key") } });
  },
);

test("a database that is not empty is left as it is; so is everything while a server runs on the embedded one", async () => {
  const { path, postgres } = await databases();
  const world = new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
  await world.account();
  const move = { sqlitePath: path, postgresUrl: postgres.url };
  await expect(moveDatabase(move)).rejects.toBeInstanceOf(StartupError);
  await world.store.close();
  await moveDatabase(move);
  await expect(moveDatabase(move)).rejects.toThrow("must be empty, but its table accounts is not");
});

test("a database in use keeps its schema if it is named by mistake", async () => {
  const { path, postgres } = await databases();
  await (await openSqliteStore({ path, policy: testPolicy })).close();
  const other = new pg.Client(postgres.url);
  await other.connect();
  // As an older version has it: tables in use, and migrations that it does not know.
  await other.query(
    "drop schema public cascade; create schema public; create table accounts (id text); insert into accounts values ('acc_1')",
  );
  await expect(moveDatabase({ sqlitePath: path, postgresUrl: postgres.url })).rejects.toThrow(
    "must be empty, but its table accounts is not",
  );
  const { rows } = await other.query("select table_name from information_schema.tables where table_schema = 'public'");
  await other.end();
  expect(rows).toEqual([{ table_name: "accounts" }]);
});
