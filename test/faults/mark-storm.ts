import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import { expect, onTestFinished } from "vitest";
import { openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import { decodeId } from "../../src/domain/ids.ts";
import { recountAll } from "../harness/counters.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import type { Answer, Client } from "../harness/service/client.ts";
import { eventually } from "../harness/service/eventually.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";
import type { ProcessService } from "../harness/service/service.ts";
import { testPolicy } from "../harness/store-drafts.ts";
import { join } from "node:path";

export type Database = "sqlite-file" | "postgres";
export type Sizes = {
  /** Watches on the URL that answers 410. */
  readonly watches: number;
  /** Pending deliveries of the endpoint that is disabled, enabled and recovered. */
  readonly deliveries: number;
  /** Kills in the middle of each mark. */
  readonly kills: number;
};

const setUpWithinMs = 1_800_000;
const batch = 1000;
const dayMs = 86_400_000;

/** An endpoint with `watches` watches answers 410 once; the process is killed while the mark of it runs. */
export async function stormGone(database: Database, { watches, kills }: Sizes): Promise<Record<string, unknown>> {
  const world = await MarkWorld.start(database, {
    // One is left for the check of the quota.
    ACCOUNT_MAX_ACTIVE_WATCHES: String(watches + 1),
    // A call that the upstream does not know is watched on, and has no event.
    NOT_FOUND_GRACE_MS: String(dayMs),
  });
  const { service, owner } = world;
  await world.register("OUT-unknown", watches);
  const first = await owner.post("/v1/watches", { call_sid: "OUT-queued-gone", callback_url: world.url });
  const endpointId = String(first.body["endpoint_id"]);
  expect((await owner.post("/v1/watches", { call_sid: "OUT-one-more", callback_url: null })).status).toBe(403);
  world.isGone = true;
  const startedMs = performance.now();
  await eventually(
    () => owner.get(`/v1/endpoints/${endpointId}`),
    ({ body }) => body["state"] === "disabled",
    setUpWithinMs,
  );
  // Reads and quotas follow the mark at once.
  expect(await owner.list("/v1/watches?status=active")).toEqual([]);
  expect((await owner.post("/v1/watches", { call_sid: "OUT-one-more", callback_url: null })).status).toBe(201);
  const killsInside = await world.killDuring("gone_watches", kills);
  await world.untilSwept();
  const sweptMs = performance.now() - startedMs;
  expect((await owner.list("/v1/watches?status=active")).length).toBe(1);
  expect((await owner.list<{ end_reason: string }>("/v1/watches?status=canceled")).every(({ end_reason }) => end_reason === "gone")).toBe(
    true,
  );
  expect((await owner.get(`/v1/endpoints/${endpointId}`)).body).toMatchObject({ state: "disabled", reason: "gone", backlog: 0 });
  expect(await owner.list("/v1/deliveries?status=pending")).toEqual([]);
  const accounts = await service.command<readonly { name: string; active_watches: number }[]>(["account", "list"]);
  expect(accounts.find(({ name }) => name === "owner")?.active_watches).toBe(1);
  const figures = await world.end();
  expect(
    await world.rows(`select status, count(*) as n from watches where account_id = ${world.ownerKey} group by status order by status`),
  ).toEqual([
    { status: "active", n: 1 },
    { status: "canceled", n: watches + 1 },
  ]);
  return { database, watches, killsInside, sweptMs: Math.round(sweptMs), ...figures };
}

/** An endpoint with `deliveries` pending deliveries is disabled, enabled and recovered; the process is killed in the middle of each. */
export async function stormEndpoint(database: Database, { deliveries, kills }: Sizes): Promise<Record<string, unknown>> {
  const world = await MarkWorld.start(database, {
    ACCOUNT_MAX_ACTIVE_WATCHES: "0",
    POLYAI_MAX_POLLS_PER_SECOND: "20000",
    // The first call is unknown to the upstream, and would end with an event on a slow machine.
    NOT_FOUND_GRACE_MS: String(dayMs),
  });
  const { owner } = world;
  const first = await owner.post("/v1/watches", { call_sid: "OUT-first", callback_url: world.url });
  const endpoint = `/v1/endpoints/${String(first.body["endpoint_id"])}`;
  const patch = async (body: object) => expect((await owner.send("PATCH", endpoint, body)).status).toBe(200);
  const backlog = async () => Number((await owner.get(endpoint)).body["backlog"]);
  const pendingRows = async (condition: string) =>
    Number((await world.rows(`select count(*) as n from deliveries where status = 'pending' and ${condition}`))[0]?.["n"]);
  // Nothing leaves, so that every delivery stays pending.
  await patch({ state: "paused", max_per_second: 0.1 });
  await world.register("OUT-queued", deliveries);
  await eventually(backlog, (count) => count === deliveries, setUpWithinMs);
  // From here on the polls matter no more, and would only take processor time.
  if (deliveries > 10_000) await world.restart({ POLYAI_MAX_POLLS_PER_SECOND: String(Math.ceil(deliveries / 1000)) });
  await patch({ state: "disabled" });
  await world.kill();
  expect((await owner.get(endpoint)).body).toMatchObject({ state: "disabled", backlog: deliveries });
  expect((await owner.post(`${endpoint}/recover`, {})).status).toBe(409);
  let startedMs = performance.now();
  await patch({ state: "enabled" });
  expect((await owner.get(endpoint)).body).toMatchObject({ state: "enabled", backlog: deliveries });
  const enabledKills = await world.killDuring("enabled", kills);
  await world.untilSwept();
  const enabledMs = performance.now() - startedMs;
  const sent = () => world.received;
  expect(await pendingRows(`next_attempt_at > ${Date.now() + 60_000}`)).toBe(0);
  // Set-up of the recovery: all of them wait for their schedule.
  await patch({ state: "paused" });
  await world.kill(() =>
    world.run(
      `update deliveries set next_attempt_at = ${Date.now() + dayMs}, due_at = case when due_at is null then null else ${Date.now() + dayMs} end
       where status = 'pending' and lease_token is null`,
    ),
  );
  const waiting = await pendingRows(`next_attempt_at > ${Date.now() + dayMs / 2}`);
  expect(waiting).toBeGreaterThan(deliveries - 100);
  startedMs = performance.now();
  expect(await owner.post(`${endpoint}/recover`, {})).toMatchObject({ status: 202, body: { recovered: null, hurried: null, more: true } });
  const recoverKills = await world.killDuring("recovered", kills);
  await world.untilSwept();
  const recoveredMs = performance.now() - startedMs;
  expect(await pendingRows(`next_attempt_at > ${Date.now() + 60_000}`)).toBe(0);
  const left = await backlog();
  expect(left).toBe(await pendingRows("1 = 1"));
  expect(left).toBeGreaterThan(deliveries - 100);
  const figures = await world.end();
  expect(
    await world.rows(`select count(*) as n from deliveries where account_id = ${world.ownerKey} and status in ('pending', 'delivered')`),
  ).toEqual([{ n: deliveries }]);
  return {
    database,
    deliveries,
    killsInside: [enabledKills, recoverKills],
    enabledMs: Math.round(enabledMs),
    recoveredMs: Math.round(recoveredMs),
    sent: sent(),
    ...figures,
  };
}

/** A service as a process with two accounts: the owner of the many rows, and a victim that asks all the time. */
class MarkWorld {
  isGone = false;
  /** Webhooks that came. */
  received = 0;
  readonly service: ProcessService;
  readonly owner: Client;
  readonly ownerKey: number;
  readonly url: string;
  readonly #database: OpenDatabase;
  readonly #victim: Victim;

  static async start(kind: Database, environment: Readonly<Record<string, string>>): Promise<MarkWorld> {
    const database = await OpenDatabase.make(kind);
    const state = { world: null as MarkWorld | null };
    // Calls are queued or unknown, by their SID. Webhooks are counted, and answered 410 once that is wanted.
    const server = createServer((request, response) => {
      const { world } = state;
      request.resume();
      if (request.method === "GET") {
        const isQueued =
          /OUT-queued-(?!gone)|OUT-queued-gone/.test(request.url ?? "") && (!request.url?.includes("gone") || world?.isGone === true);
        response.writeHead(isQueued ? 200 : 404, { "content-type": "application/json" }).end(isQueued ? '{"status":"queued"}' : "{}");
        return;
      }
      if (world !== null) world.received += 1;
      response.writeHead(world?.isGone === true ? 410 : 204).end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const service = await startService({
      as: "process",
      database: { url: database.url },
      environment: {
        POLYAI_BASE_URL: url,
        POLYAI_AUTH_TOKEN: "any",
        RINGBACK_ENCRYPTION_KEY: Buffer.alloc(32, 7).toString("base64"),
        API_MAX_PER_SECOND: "0",
        // At the rate of every day, the first polls of 200,000 calls take half an hour.
        POLYAI_MAX_POLLS_PER_SECOND: "5000",
        ...environment,
      },
    });
    const owner = await service.createAccount("owner", "--default-source");
    const victim = await service.createAccount("victim");
    state.world = new MarkWorld(service, database, { owner, url: `${url}/hook`, victim: new Victim(victim.client) });
    return state.world;
  }

  private constructor(
    service: ProcessService,
    database: OpenDatabase,
    given: { readonly owner: { readonly account_id: string; readonly client: Client }; readonly url: string; readonly victim: Victim },
  ) {
    this.service = service;
    this.#database = database;
    this.owner = given.owner.client;
    this.ownerKey = decodeId(given.owner.account_id);
    this.url = given.url;
    this.#victim = given.victim;
    this.#victim.go();
  }

  /** Registers `count` watches on the one URL. */
  async register(prefix: string, count: number): Promise<void> {
    for (let at = 0; at < count; at += batch) {
      const watches = Array.from({ length: Math.min(batch, count - at) }, (_, n) => ({
        call_sid: `${prefix}-${at + n}`,
        callback_url: this.url,
      }));
      for (;;) {
        const { status, body } = await this.owner.post("/v1/watches/batch", { watches });
        const results = body["results"] as readonly { readonly status: number }[] | undefined;
        if (status === 200 && results?.every((result) => result.status === 201 || result.status === 200) === true) break;
        await wait(200);
      }
    }
  }

  /** Starts it again with other variables. */
  async restart(environment: Readonly<Record<string, string>>): Promise<void> {
    await this.#victim.rest();
    await this.service.start(environment);
    this.#victim.go();
  }

  /** SIGKILL and the next start. `between` runs while no process has the database. */
  async kill(between: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    await this.#victim.rest();
    await this.service.kill();
    await between();
    await this.service.start();
    this.#victim.go();
  }

  /** Kills the process while the mark runs, after different portions. Returns how often the mark was still there. */
  async killDuring(kind: string, kills: number): Promise<number> {
    let inside = 0;
    let reached = -1;
    for (let kill = 0; kill < kills; kill++) {
      const position = await this.#untilPast(kind, reached);
      if (position === null) break;
      await this.service.kill();
      const [mark] = await this.#marks(kind);
      if (mark !== undefined) inside += 1;
      reached = Number(mark?.["done_id"] ?? 0);
      await this.#victim.rest();
      await this.service.start();
      this.#victim.go();
    }
    return inside;
  }

  /** Resolves with the position of the mark once it is past `reached`; `null` if there is none any more. */
  async #untilPast(kind: string, reached: number): Promise<number | null> {
    for (;;) {
      const [mark] = await this.#marks(kind);
      if (mark === undefined) return null;
      const position = Number(mark["done_id"]);
      if (position > reached) return position;
      await wait(5);
    }
  }

  #marks(kind: string): Promise<readonly Row[]> {
    return this.rows(`select done_id from marks where kind = '${kind}'`);
  }

  async untilSwept(): Promise<void> {
    await eventually(
      () => this.rows("select id from marks"),
      (marks) => marks.length === 0,
      setUpWithinMs,
    );
  }

  rows(sql: string): Promise<readonly Row[]> {
    return this.#database.rows(sql);
  }

  async run(sql: string): Promise<void> {
    await this.#database.rows(sql);
  }

  /** Stops the service, compares the counters with the rows, and returns what the victim saw. */
  async end(): Promise<Record<string, unknown>> {
    await this.#victim.rest();
    expect(await this.service.stop()).toBe(0);
    expect(await this.#database.recount()).toEqual([]);
    const { refusals, durations } = this.#victim;
    expect(refusals).toEqual([]);
    const sorted = durations.toSorted((a, b) => a - b);
    const at = (share: number) => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
    return { victimRequests: durations.length, victimP50Ms: at(0.5), victimP99Ms: at(0.99), victimMaxMs: at(1 - 1 / durations.length) };
  }
}

/** An account that registers, reads and lists, one request after the other. */
class Victim {
  /** Answers that no other account may cause. */
  readonly refusals: string[] = [];
  readonly durations: number[] = [];
  readonly #client: Client;
  #isResting = true;
  #running: Promise<void> = Promise.resolve();

  constructor(client: Client) {
    this.#client = client;
  }

  go(): void {
    if (!this.#isResting) return;
    this.#isResting = false;
    this.#running = this.#run();
  }

  /** Resolves when none of its requests is under way. */
  async rest(): Promise<void> {
    this.#isResting = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let n = 0; !this.#isResting; n++) {
      const startedMs = performance.now();
      const answer = await this.#ask(n).catch(() => null);
      // The process was killed meanwhile, and is about to start again.
      if (answer === null) await wait(20);
      else {
        this.durations.push(performance.now() - startedMs);
        if (answer.status >= 429) this.refusals.push(`${answer.status} ${String(answer.body["detail"])}`);
      }
      await wait(5);
    }
  }

  #ask(n: number): Promise<Answer> {
    if (n % 4 === 0) return this.#client.post("/v1/watches", { call_sid: `OUT-sandbox-slow-${n}`, source: "sandbox", callback_url: null });
    return this.#client.get(["/v1/watches?limit=20", "/v1/events?limit=20", "/v1/me"][n % 3] ?? "");
  }
}

type Row = Readonly<Record<string, unknown>>;

/** The database of the service, read beside it. */
class OpenDatabase {
  readonly url: string;
  readonly #path: string | null;
  readonly #postgres: TestPostgres | null;
  readonly #client: pg.Client | null;

  static async make(kind: Database): Promise<OpenDatabase> {
    if (kind === "sqlite-file") return new OpenDatabase(join(await temporaryFolder(), "ringback.db"), null);
    const postgres = await TestPostgres.create();
    const database = new OpenDatabase(null, postgres);
    await database.#client?.connect();
    onTestFinished(async () => {
      await database.#client?.end();
      await postgres.dispose();
    });
    return database;
  }

  private constructor(path: string | null, postgres: TestPostgres | null) {
    this.#path = path;
    this.#postgres = postgres;
    this.url = postgres?.url ?? `sqlite:${path}`;
    this.#client = postgres === null ? null : new pg.Client({ connectionString: postgres.url });
  }

  async rows(sql: string): Promise<readonly Row[]> {
    if (this.#client !== null) {
      const { rows } = await this.#client.query<Row>(sql);
      return rows.map((row) =>
        Object.fromEntries(Object.entries(row).map(([key, value]) => [key, key === "status" ? value : Number(value)])),
      );
    }
    const db = new DatabaseSync(this.#path ?? "", { timeout: 30_000 });
    try {
      return db
        .prepare(sql)
        .all()
        .map((row) => ({ ...row }));
    } finally {
      db.close();
    }
  }

  async recount(): Promise<readonly unknown[]> {
    const store =
      this.#postgres === null
        ? await openSqliteStore({ path: this.#path ?? "", policy: testPolicy })
        : (await this.#postgres.openAlone(testPolicy)).store;
    try {
      return await recountAll(store);
    } finally {
      await store.close();
    }
  }
}
