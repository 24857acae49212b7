import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as wait } from "node:timers/promises";
import { expect, inject, onTestFinished } from "vitest";
import type { Simulator } from "../../src/simulator/simulator.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { asAdministrator } from "../harness/postgres/postgres-server.ts";
import type { Client } from "../harness/service/client.ts";
import { apiKey, fastPolling } from "../harness/service/environment.ts";
import { eventually } from "../harness/service/eventually.ts";
import { prepareService, temporaryFolder } from "../harness/service/service.ts";
import type { ProcessService } from "../harness/service/service.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import type { Random } from "../simulation/random.ts";

export type StormFigures = {
  readonly kills: number;
  /** Lives of the reader that applied an event. */
  readonly livesWithEffects: number;
  readonly eventsBeforeRestore: number;
  readonly eventsLostByRestore: number;
  readonly eventsAtTheEnd: number;
  readonly effects: number;
  /** Events that came again after the restore. */
  readonly repeats: number;
};

type Database = "sqlite-file" | "postgres";

const scenario = [
  { atMs: 0, status: "queued" },
  { atMs: 500, status: "calling" },
  { atMs: 1200, status: "success" },
];
const caughtUpWithinMs = 120_000;
const { execPath: nodePath, env: environmentOfTests } = process;

/**
 * Kills a reader of the feed `kills` times at random while calls come and end, restores a backup in the middle, and checks
 * what the reader has at the end:
 *
 * - before the restore every event of the feed has its effect, in the order of the feed, and none was read twice;
 * - the restore makes the cursor invalid once, and the reader goes on with `since`;
 * - at the end every event of the restored feed has its effect, once and in order. Only events that the restored copy
 *   observed again, with the same id, come again.
 */
export async function stormReaders(database: Database, kills: number, random: Random): Promise<StormFigures> {
  const simulator = await simulatedUpstream({ authToken: "the-token" });
  const store = await backedUpDatabase(database);
  const environment = {
    ...simulator.environment("polyai-legacy"),
    ...fastPolling,
    RINGBACK_ENCRYPTION_KEY: Buffer.alloc(32, 7).toString("base64"),
  };
  const service = await prepareService({ as: "process", database: { url: store.url }, environment });
  await service.start();
  const reader = new KilledReader(service.url, join(await temporaryFolder(), "reader.db"));
  const load = new Load(simulator, service.client);
  load.start();
  await reader.kill(Math.floor(kills / 4), random);
  const backedUp = (await wholeFeed(service.client)).length;
  await store.backUp(service);
  await reader.kill(Math.floor(kills / 4), random);
  await load.stop();
  const before = await wholeFeed(service.client);
  await reader.catchUp(before.length);
  expect(reader.effects()).toEqual(before);
  expect([reader.repeats(), reader.timesGone()]).toEqual([[], 0]);
  await store.restore(service);
  const restored = await wholeFeed(service.client);
  // What the restored service has observed since its start follows.
  const kept = before.findIndex((id, index) => id !== restored[index]);
  expect(kept).toBeGreaterThanOrEqual(backedUp);
  load.start();
  await reader.kill(kills - 2 * Math.floor(kills / 4), random);
  await load.stop();
  const end = await wholeFeed(service.client);
  const known = new Set(before);
  const fresh = end.filter((id) => !known.has(id));
  await reader.catchUp(before.length + fresh.length);
  await reader.end();
  // Once each, in the order of the feed; the restored events kept the effects that they had.
  expect(reader.effects()).toEqual([...before, ...fresh]);
  expect(reader.timesGone()).toBe(1);
  const observedAgain = end.slice(kept).filter((id) => known.has(id));
  const repeats = reader.repeats();
  const overlap = new Set([...observedAgain, ...before.slice(0, kept)]);
  expect(repeats.filter((id) => !overlap.has(id))).toEqual([]);
  expect(observedAgain.filter((id) => !repeats.includes(id))).toEqual([]);
  return {
    kills,
    livesWithEffects: reader.livesWithEffects,
    eventsBeforeRestore: before.length,
    eventsLostByRestore: before.length - kept,
    eventsAtTheEnd: end.length,
    effects: reader.effects().length,
    repeats: repeats.length,
  };
}

/** Calls that come and end, ten at a time. What is registered is registered again until it is answered. */
class Load {
  readonly #simulator: Simulator;
  readonly #client: Client;
  #running: Promise<void> | null = null;
  #isStopped = false;

  constructor(simulator: Simulator, client: Client) {
    this.#simulator = simulator;
    this.#client = client;
  }

  start(): void {
    this.#isStopped = false;
    this.#running = this.#run();
  }

  /** Resolves when no watch is active any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
    await eventually(
      () => this.#client.list("/v1/watches?status=active"),
      (active) => active.length === 0,
      caughtUpWithinMs,
    );
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const watches = Array.from({ length: 10 }, () => ({ call_sid: this.#simulator.trigger({ scenario }), callback_url: null }));
      while ((await this.#client.post("/v1/watches/batch", { watches }).catch(() => null))?.status !== 200) await wait(100);
      await wait(500);
    }
  }
}

/** The reader program, started again after every kill, and what its file holds. */
class KilledReader {
  livesWithEffects = 0;
  readonly #url: string;
  readonly #file: string;
  #process: ChildProcess | null = null;

  constructor(url: string, file: string) {
    this.#url = url;
    this.#file = file;
    onTestFinished(() => this.end());
  }

  /** Starts and kills it `times` times, at a random instant of each life. */
  async kill(times: number, random: Random): Promise<void> {
    for (let life = 0; life < times; life++) {
      const before = this.#count();
      const begun = this.#start();
      // One of five is killed while it starts.
      if (!random.chance(0.2)) await begun;
      await wait(random.int(0, 900));
      await this.end();
      if (this.#count() > before) this.livesWithEffects += 1;
    }
  }

  /** Lets it live until it has this number of effects. */
  async catchUp(effects: number): Promise<void> {
    await this.#start();
    await eventually(
      () => Promise.resolve(this.#count()),
      (count) => count >= effects,
      caughtUpWithinMs,
    );
    // It would read on.
    await wait(500);
    await this.end();
  }

  async end(): Promise<void> {
    const process = this.#process;
    this.#process = null;
    if (process === null || process.exitCode !== null || process.signalCode !== null) return;
    const exited = once(process, "exit");
    process.kill("SIGKILL");
    await exited;
  }

  effects(): readonly string[] {
    return this.#read("select event_id from effects order by n").map((row) => String(row["event_id"]));
  }

  repeats(): readonly string[] {
    return this.#read("select event_id from repeats").map((row) => String(row["event_id"]));
  }

  timesGone(): number {
    return Number(this.#read("select gone from place")[0]?.["gone"]);
  }

  /** Starts it. Resolves when it reads, or has ended. */
  async #start(): Promise<void> {
    const program = new URL("feed-reader-program.ts", import.meta.url).pathname;
    const process = spawn(nodePath, [program, this.#url, apiKey, this.#file], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...environmentOfTests, NODE_NO_WARNINGS: "1" },
    });
    this.#process = process;
    await Promise.race([once(process.stdout, "data"), once(process, "exit")]);
  }

  #count(): number {
    return Number(this.#read("select count(*) as n from effects")[0]?.["n"] ?? 0);
  }

  #read(sql: string): readonly Record<string, unknown>[] {
    const db = new DatabaseSync(this.#file, { timeout: 5000 });
    try {
      return db.prepare(sql).all();
    } catch (error) {
      // A reader that was killed before it made its tables.
      if (String(error).includes("no such table")) return [];
      throw error;
    } finally {
      db.close();
    }
  }
}

/** Returns the ids of all events of the feed, in its order. */
async function wholeFeed(client: Client): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let after = ""; ;) {
    const { body } = await client.get(`/v1/events?limit=200&after=${after}`);
    const data = body["data"] as readonly { readonly id: string }[];
    ids.push(...data.map(({ id }) => id));
    after = String(body["next_cursor"]);
    if (data.length < 200) return ids;
  }
}

/** A database with a backup. Postgres is copied while the service is down. */
async function backedUpDatabase(kind: Database) {
  if (kind === "sqlite-file") {
    const folder = await temporaryFolder();
    const [path, copy] = [join(folder, "ringback.db"), join(folder, "backup.db")];
    return {
      url: `sqlite:${path}`,
      backUp: (service: ProcessService) => service.command(["backup", copy]).then(() => undefined),
      async restore(service: ProcessService): Promise<void> {
        await service.kill();
        for (const ending of ["", "-wal", "-shm"]) await rm(`${path}${ending}`, { force: true });
        await cp(copy, path);
        await service.start();
      },
    };
  }
  const postgres = await TestPostgres.create();
  const server = inject("postgresUrl");
  const name = new URL(postgres.url).pathname.slice(1);
  onTestFinished(async () => {
    await postgres.dispose();
    await asAdministrator(server, `drop database if exists ${name}_copy with (force)`);
  });
  const disconnect = () => asAdministrator(server, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
  return {
    url: postgres.url,
    async backUp(service: ProcessService): Promise<void> {
      await service.kill();
      await disconnect();
      await asAdministrator(server, `create database ${name}_copy template ${name} strategy file_copy`);
      await service.start();
    },
    async restore(service: ProcessService): Promise<void> {
      await service.kill();
      await asAdministrator(server, `drop database ${name} with (force)`);
      await asAdministrator(server, `alter database ${name}_copy rename to ${name}`);
      await service.start();
    },
  };
}
