import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openConnection } from "../../../src/adapters/sqlite/connection/open-connection.ts";
import { knownMigrations } from "../../../src/adapters/sqlite/migrate.ts";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { StartupError } from "../../../src/domain/errors.ts";
import { decodeId, encodeId, newId } from "../../../src/domain/ids.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { expectKind, hour, StoreWorld, startMs, testPolicy } from "../../harness/store-drafts.ts";

let folder: string;
let path: string;
const open: ServiceStore[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-opening-"));
  path = join(folder, "ringback.db");
});
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  await rm(folder, { recursive: true });
});

async function openAt(at: string): Promise<ServiceStore> {
  const store = await openSqliteStore({ path: at, policy: testPolicy });
  open.push(store);
  return store;
}

/** The one line a start that cannot succeed says. */
async function refusalOf(at: string): Promise<string> {
  const error: unknown = await openAt(at).catch((refused: unknown) => refused);
  expect(error).toBeInstanceOf(StartupError);
  const { message } = error as Error;
  expect(message).not.toContain("\n");
  return message;
}

/** Writes to the database between two servers. */
function edit(statement: string): void {
  const connection = new DatabaseSync(path);
  connection.exec(statement);
  connection.close();
}

describe("opening an SQLite database", () => {
  it("makes the folder, and takes what is there the next time", async () => {
    const deep = join(folder, "not", "there", "yet.db");
    await (await openAt(deep)).close();
    expect((await stat(join(folder, "not", "there"))).mode & 0o777).toBe(0o700);
    expect((await stat(deep)).mode & 0o777).toBe(0o600);
    await (await openAt(deep)).checkWritable();
  });

  it("ends what only the last server could send, by its own clock", async () => {
    const world = new StoreWorld(await openAt(path));
    const { view } = await world.watch("OUT-1");
    const request = { accountId: view.watch.accountId, endpointId: view.endpoint?.id ?? "", nowMs: world.nowMs };
    const { job } = expectKind(await world.store.createTest(request), "claimed");
    await world.store.close();
    world.store = await openSqliteStore({ path, policy: testPolicy, clock: { nowMs: () => startMs + hour } });
    open.push(world.store);
    expect((await world.deliveryOf(job)).view.delivery).toMatchObject({ status: "canceled", settledAtMs: startMs + hour });
  });

  it("is durable", async () => {
    await openAt(path);
    const connection = new DatabaseSync(path, { readOnly: true });
    expect(connection.prepare("pragma journal_mode").get()).toEqual({ journal_mode: "wal" });
    connection.close();
  });

  it("refuses a second server at once and lets it in when the first is gone", async () => {
    const first = await openAt(path);
    expect(await refusalOf(path)).toBe(`another server is using the database ${path}: stop it first`);
    await first.checkWritable();
    await first.close();
    await (await openAt(path)).checkWritable();
  });

  it("lets others read and write beside the server", async () => {
    const store = await openAt(path);
    edit(
      "insert into accounts (id, name, uses_default_source, sealed_signing_key, public_key, created_at) values (1, 'cli', 0, x'00', '', 1)",
    );
    expect(await store.getAccount(encodeId("acc", 1))).toMatchObject({ name: "cli" });
  });

  it("refuses a database of a newer program", async () => {
    await (await openAt(path)).close();
    edit("insert into schema_migrations (number, name, checksum) values (1000, '1000-tomorrow.sql', 'x')");
    expect(await refusalOf(path)).toContain("is newer than this program (it has migration 1000-tomorrow.sql)");
  });

  it("refuses a database whose migrations read differently", async () => {
    await (await openAt(path)).close();
    edit("update schema_migrations set checksum = 'another'");
    expect(await refusalOf(path)).toContain("migration 0001-schema.sql of the database differs");
  });

  it("refuses a database of the schema with text ids", async () => {
    edit(
      `create table schema_migrations (number integer primary key, name text not null, checksum text not null) strict;
       insert into schema_migrations values (1, '0001-initial.sql', 'x'), (2, '0002-sources-and-keys.sql', 'y');
       create table accounts (id text primary key, name text not null unique) strict;`,
    );
    expect(await refusalOf(path)).toBe(
      "migration 0001-initial.sql of the database differs from that of this program (0001-schema.sql): start the version that created the database, or begin with an empty one",
    );
  });

  it("applies what a newer program adds, once", async () => {
    await (await openAt(path)).close();
    const migrations = [...knownMigrations, { name: "1000-tomorrow.sql", checksum: "x", sql: "create table tomorrow (n integer) strict" }];
    for (const applied of [1, 0]) {
      const opened = openConnection(path, "server", migrations);
      expect(opened.migrations).toBe(applied);
      expect(opened.connection.prepare("select * from tomorrow").all()).toEqual([]);
      opened.connection.close();
      opened.lock?.close();
    }
  });

  it("makes keys after all that the database holds, also if the clock stepped back", async () => {
    const world = new StoreWorld(await openAt(path));
    world.pass(hour);
    const { view } = await world.watch("OUT-1");
    const { jobs } = await world.see("OUT-1", "queued");
    await world.store.close();
    world.store = await openAt(path);
    world.nowMs = startMs;
    expect(decodeId(newId("wch", startMs))).toBeGreaterThan(decodeId(view.watch.id));
    const later = await world.see("OUT-1", "calling");
    // The second delivery of the lane waits for the first, which lost its lease with the last server.
    expect(later.jobs).toEqual([]);
    const { data } = await world.store.listDeliveries({
      accountId: view.watch.accountId,
      endpointId: null,
      watchId: view.watch.id,
      status: null,
      cursor: null,
      limit: 10,
    });
    const keys = data.map(({ delivery }) => decodeId(delivery.id));
    expect(keys.at(-1)).toBe(decodeId(jobs[0]?.deliveryId ?? ""));
    expect(keys[0]).toBeGreaterThan(keys[1] ?? Infinity);
  });

  it("refuses what is no database", async () => {
    await writeFile(path, "this file is not a database. ".repeat(200));
    expect(await refusalOf(path)).toContain(`the database ${path} cannot be used`);
  });

  it("refuses a folder in place of the file", async () => {
    await mkdir(path);
    expect(await refusalOf(path)).toContain(path);
  });

  it("refuses a file in place of the folder", async () => {
    await writeFile(join(folder, "file"), "");
    expect(await refusalOf(join(folder, "file", "ringback.db"))).toContain("cannot be written");
  });

  // Root may write to everything.
  it.runIf(process.getuid?.() !== 0)("refuses a file that can only be read", async () => {
    await (await openAt(path)).close();
    await chmod(path, 0o400);
    expect(await refusalOf(path)).toContain("attempt to write a readonly database");
  });

  it.runIf(process.platform === "linux")("refuses a folder that can never be made", async () => {
    expect(await refusalOf("/proc/ringback/data/ringback.db")).toContain("cannot be written: ENOENT");
  });

  it("refuses a lock that is none", async () => {
    await writeFile(join(folder, "ringback.lock"), "something else lies here. ".repeat(200));
    expect(await refusalOf(path)).toContain("the lock");
  });
});
