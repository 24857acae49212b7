import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

const victimPath = new URL("./crash-victim.ts", import.meta.url).pathname;
let folder: string;
let path: string;
let victim: ChildProcess | null = null;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ringback-crash-"));
  path = join(folder, "ringback.db");
});
afterEach(async () => {
  victim?.kill("SIGKILL");
  await rm(folder, { recursive: true });
});

/** Starts a server that registers without an end; resolves with the ids it was answered before `ends`. */
async function runVictim(limit: string | null, ends: (answered: number, kill: () => void) => void, ...more: readonly string[]) {
  const shell = `${limit === null ? "" : `ulimit -f ${limit};`} exec "$0" "$@"`;
  const child = spawn("bash", ["-c", shell, process.execPath, victimPath, path, ...more], { stdio: ["ignore", "pipe", "pipe"] });
  victim = child;
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const ids: string[] = [];
  const exited = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout })) {
    ids.push(line);
    ends(ids.length, () => child.kill("SIGKILL"));
  }
  const [code, signal] = (await exited) as [number | null, NodeJS.Signals | null];
  return { ids, code, signal, errors };
}

async function openAgain(): Promise<StoreWorld> {
  return new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
}

describe("a server that dies", () => {
  it("by kill -9 keeps everything that was answered, whole, and its deliveries are due", async () => {
    const { ids, signal } = await runVictim(null, (answered, kill) => answered === 60 && kill());
    expect(signal).toBe("SIGKILL");
    const world = await openAgain();
    const { id: accountId } = await world.account();
    for (const id of ids) {
      expect((await world.store.getWatch(accountId, id))?.watch).toMatchObject({ sequence: 1 });
      expect((await world.store.listWatchEvents({ accountId, watchId: id, limit: 5, cursor: null }))?.data).toMatchObject([
        { event: { type: "call.queued" }, deliveries: [{ status: "pending" }] },
      ]);
    }
    const { jobs } = await world.claim({ limit: 1000, defaultCapacity: 1000 });
    expect(jobs.length).toBeGreaterThanOrEqual(ids.length);
    await world.store.close();
    const connection = new DatabaseSync(path, { readOnly: true });
    expect(connection.prepare("pragma integrity_check").get()).toEqual({ integrity_check: "ok" });
    expect(connection.prepare("pragma foreign_key_check").all()).toEqual([]);
    // Nothing is half done: a watch with a status has its event, and an event its delivery.
    expect(
      connection
        .prepare("select count(*) as n from watches w where w.sequence <> (select count(*) from events e where e.watch_id = w.id)")
        .get(),
    ).toEqual({ n: 0 });
    expect(
      connection
        .prepare("select count(*) as n from events e where not exists (select 1 from deliveries d where d.event_position = e.position)")
        .get(),
    ).toEqual({ n: 0 });
    connection.close();
  });

  it.each(["kill -9", "a disk that fails"])(
    "by %s with a group ahead keeps all that was answered, and nothing without what came before it",
    async (end) => {
      const isKilled = end === "kill -9";
      const { ids: answered, signal } = await runVictim(
        isKilled ? null : "1500",
        (count, kill) => isKilled && count === 900 && kill(),
        "ahead",
      );
      expect(signal).toBe(isKilled ? "SIGKILL" : null);
      const connection = new DatabaseSync(path, { readOnly: true });
      const stored = connection
        .prepare("select call_sid as sid from calls")
        .all()
        .map(({ sid }) => Number(String(sid).slice("OUT-".length)));
      connection.close();
      expect(answered).toEqual([...answered.keys()].map(String));
      expect(stored.toSorted((a, b) => a - b)).toEqual([...stored.keys()]);
      expect(stored.length).toBeGreaterThanOrEqual(answered.length);
    },
  );

  it("by a disk that fails: what is not stored is not answered", async () => {
    const { ids, code, errors } = await runVictim("900", () => undefined);
    expect(code).toBe(1);
    expect(errors).toContain("StoreUnavailableError: the database failed");
    expect(ids.length).toBeGreaterThan(0);
    const world = await openAgain();
    const { id: accountId } = await world.account();
    for (const id of ids) expect(await world.store.getWatch(accountId, id)).not.toBeNull();
    await world.store.close();
  });
});

describe("a database that fails", () => {
  it("refuses everything from then on and says that it is over", async () => {
    const world = await openAgain();
    await world.watch("OUT-1");
    // Drops the table, which comes closest to a broken disk within one process.
    const connection = new DatabaseSync(path, { defensive: false });
    connection.exec(
      "pragma writable_schema = on; update sqlite_master set rootpage = 999999 where name = 'watches'; pragma schema_version = 999",
    );
    connection.close();
    await expect(world.register("OUT-2")).rejects.toThrow("the database failed");
    await expect(world.store.checkWritable()).rejects.toThrow("closed");
    expect(await world.store.fatal).toMatchObject({ code: "store-unavailable" });
    await world.store.close();
  });
});
