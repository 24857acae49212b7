import { mkdtemp, rm } from "node:fs/promises";
import { keyScopes } from "../../../src/domain/secrets/key-scopes.ts";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mayNotPlace } from "../../../src/domain/calls/placing.ts";
import { openConnection } from "../../../src/adapters/sqlite/connection/open-connection.ts";
import { knownMigrations } from "../../../src/adapters/sqlite/migrate.ts";
import { openSqliteAdministration, openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { StartupError } from "../../../src/domain/errors.ts";
import { decodeId, newId } from "../../../src/domain/ids.ts";
import { StoreWorld, only, startMs, testPolicy } from "../../harness/store-drafts.ts";

let folder: string;
let path: string;
const open: { close(): Promise<void> }[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-administration-"));
  path = join(folder, "ringback.db");
});
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  await rm(folder, { recursive: true });
});

async function serve(): Promise<StoreWorld> {
  const store = await openSqliteStore({ path, policy: testPolicy });
  open.push(store);
  return new StoreWorld(store);
}

async function administer() {
  const opened = await openSqliteAdministration(path);
  open.push(opened.store);
  return opened;
}

function accountDraft(name: string) {
  const id = newId("acc", startMs);
  const account = {
    id,
    name,
    usesDefaultSource: false,
    sealedSigningKey: new Uint8Array(8),
    publicKey: "",
    placing: mayNotPlace,
    disabledAtMs: null,
    disablings: 0,
    createdAtMs: startMs,
  };
  return [
    account,
    {
      id: newId("key", startMs),
      accountId: id,
      name: "command line",
      fingerprints: [name],
      scopes: keyScopes,
      expiresAtMs: null,
      by: null,
      nowMs: startMs,
    },
  ] as const;
}

describe("administration of an SQLite database", () => {
  it("makes it where there is none, and finds it the next time", async () => {
    const first = await administer();
    expect(first.migrations).toBeGreaterThan(0);
    await first.store.createAccount(...accountDraft("acme"));
    const second = await administer();
    expect(second.migrations).toBe(0);
    expect(await second.store.findAccount("acme")).not.toBeNull();
  });

  it("reads and writes beside a server, each at once what the other wrote", async () => {
    const { store: server } = await serve();
    const { store } = await administer();
    await store.createAccount(...accountDraft("acme"));
    expect(await server.findAccountByKey(["acme"], null)).toMatchObject({ account: { name: "acme" } });
    await server.createAccount(...accountDraft("other"));
    expect(await store.findAccount("other")).not.toBeNull();
  });

  it("leaves to a server what it has leased", async () => {
    const world = await serve();
    await world.watch("OUT-1");
    const job = only((await world.see("OUT-1", "queued")).jobs);
    await administer();
    expect(await world.record(job)).toMatchObject({ kind: "recorded", delivery: { status: "delivered" } });
  });

  it("may begin several times at once, with a server too, on a database that is not there yet", async () => {
    const [server, ...others] = await Promise.all([serve(), administer(), administer(), administer(), administer()]);
    await Promise.all(others.map(({ store }, index) => store.createAccount(...accountDraft(`account ${index}`))));
    for (const index of others.keys()) expect(await server.store.findAccount(`account ${index}`)).not.toBeNull();
  });

  it("keeps no server out, and is not kept out by the next one", async () => {
    const { store } = await administer();
    const world = await serve();
    await store.createAccount(...accountDraft("acme"));
    await world.store.close();
    await store.createAccount(...accountDraft("other"));
    const next = await serve();
    expect(await next.store.findAccount("other")).not.toBeNull();
  });

  it("does not change the schema under a server of an older version", async () => {
    await serve();
    const newer = [...knownMigrations, { name: "1000-tomorrow.sql", checksum: "x", sql: "create table tomorrow (n integer) strict" }];
    const open = () => openConnection(path, "beside", newer);
    expect(open).toThrow(StartupError);
    expect(open).toThrow("is of an older version");
  });

  it("reserves keys for each command line, which no other process makes", async () => {
    const world = await serve();
    const { view } = await world.watch("OUT-1");
    const { connection } = openConnection(path, "beside");
    const newest = () => connection.prepare("select newest from command_line_keys").get()?.["newest"] as number;
    const reserved: number[] = [];
    for (let n = 0; n < 3; n++) {
      await administer();
      reserved.push(newest());
    }
    const [first = 0, next = 0, last = 0] = reserved;
    expect(first - 127).toBeGreaterThan(decodeId(view.watch.id));
    expect(next - first).toBeGreaterThanOrEqual(128);
    expect(last - next).toBeGreaterThanOrEqual(128);
    connection.close();
  });

  it("knows a server that runs, and the keys it was given", async () => {
    const { store } = await administer();
    const none = { lacking: 0, starting: 0 };
    expect(await store.findServersWithoutKey("0a")).toEqual(none);
    const world = await serve();
    expect(await store.findServersWithoutKey("0a")).toEqual({ lacking: 0, starting: 1 });
    await world.store.setServerKeys(["0a", "0b"]);
    expect(await store.findServersWithoutKey("0a")).toEqual(none);
    expect(await store.findServersWithoutKey("0c")).toEqual({ lacking: 1, starting: 0 });
    await world.store.close();
    expect(await store.findServersWithoutKey("0c")).toEqual(none);
    await serve();
    // Which keys the next one has is not known before it says so.
    expect(await store.findServersWithoutKey("0a")).toEqual({ lacking: 0, starting: 1 });
  });
});
