import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decodeId } from "../../../src/domain/ids.ts";
import type { SendJob } from "../../../src/ports/stores/send-job.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import type { TestInstance } from "../../harness/postgres/postgres-database.ts";
import { answered, only, second, startMs, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

let database: TestPostgres;
let instance: TestInstance;
let world: StoreWorld;

beforeEach(async () => {
  database = await TestPostgres.create();
  instance = await database.openAlone(testPolicy);
  world = new StoreWorld(instance.store);
});
afterEach(async () => {
  await instance.store.close();
  await database.dispose();
});

async function rowsOfAttempts(): Promise<number> {
  return (await instance.db.get("select count(*) as n from attempts"))?.["n"] as number;
}

async function jobOf(callSid: string, status = "queued", url?: string): Promise<SendJob> {
  if (url !== undefined || status === "queued") await world.watch(callSid, url === undefined ? {} : { url });
  return only((await world.see(callSid, status)).jobs);
}

const healthOf = async (job: SendJob) => (await world.store.getEndpoint((await world.account()).id, job.target.id))?.endpoint.health;

describe("a first attempt that delivers", () => {
  test("is listed as the others are, and has no row of its own", async () => {
    const job = await jobOf("OUT-1");
    world.pass(40);
    await world.record(job);
    expect(await rowsOfAttempts()).toBe(0);
    const { view, attempts } = await world.deliveryOf(job);
    expect(attempts).toEqual([
      {
        number: 1,
        startedAtMs: startMs + 40,
        durationMs: 13,
        statusCode: 200,
        error: null,
        responseExcerpt: "fine",
        decision: "delivered",
      },
    ]);
    expect(view.delivery).toMatchObject({
      status: "delivered",
      attemptCount: 1,
      stepsSpent: 0,
      firstAttemptAtMs: startMs + 40,
      settledAtMs: startMs + 40,
    });
  });

  test("is followed in the list by the manual retry of its delivery", async () => {
    const job = await jobOf("OUT-1");
    await world.record(job);
    const claimed = await world.store.claimManualRetry({
      by: null,
      accountId: (await world.account()).id,
      deliveryId: job.deliveryId,
      nowMs: world.pass(second),
    });
    if (claimed.kind !== "claimed") throw new Error(claimed.kind);
    await world.record(claimed.job, answered(500));
    const { attempts } = await world.deliveryOf(job);
    expect(attempts.map(({ number, decision, statusCode }) => [number, decision, statusCode])).toEqual([
      [1, "delivered", 200],
      [2, "failed", 500],
    ]);
    expect(await rowsOfAttempts()).toBe(1);
  });

  test("of many in one batch is recorded by one statement, with the others that need locks beside", async () => {
    const good = await Promise.all(Array.from({ length: 20 }, (_, n) => jobOf(`OUT-${n}`, "queued", `https://r${n % 3}.example/`)));
    const failing = await jobOf("OUT-failing", "queued", "https://failing.example/");
    const results = await Promise.all([...good.map((job) => world.record(job)), world.record(failing, answered(500))]);
    expect(results.map(({ delivery }) => delivery.status)).toEqual([...good.map(() => "delivered"), "pending"]);
    expect(await rowsOfAttempts()).toBe(1);
  });

  test("notes the time of the success at most once a second, and not on an endpoint that another transaction has locked", async () => {
    await world.record(await jobOf("OUT-1"));
    world.pass(999);
    const job = await jobOf("OUT-2");
    await world.record(job);
    expect(await healthOf(job)).toMatchObject({ lastSuccessAtMs: startMs });
    world.pass(1);
    await world.record(await jobOf("OUT-3"));
    expect(await healthOf(job)).toMatchObject({ lastSuccessAtMs: startMs + second });
    const late = await jobOf("OUT-4");
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    await other.query("begin");
    await other.query("select 1 from endpoints for update");
    world.pass(5 * second);
    await world.record(late);
    await other.end();
    expect(await healthOf(job)).toMatchObject({ lastSuccessAtMs: startMs + second });
    expect(await rowsOfAttempts()).toBe(0);
  });
});

describe("a first attempt with a 2xx is recorded with all locks", () => {
  test("if something waits behind its delivery, which is due then", async () => {
    const job = await jobOf("OUT-1");
    expect((await world.see("OUT-1", "calling")).jobs).toEqual([]);
    await world.record(job);
    expect(await rowsOfAttempts()).toBe(1);
    expect((await world.claim()).jobs.map(({ event }) => event.type)).toEqual(["call.calling"]);
  });

  test("if its endpoint was failing, which it ends", async () => {
    const [first, next] = [await jobOf("OUT-1"), await jobOf("OUT-2")];
    await world.record(first, answered(500));
    await world.record(next);
    expect(await rowsOfAttempts()).toBe(2);
    expect(await healthOf(next)).toMatchObject({ consecutiveFailures: 0, failingSinceMs: null });
  });

  test("if its host was paused, which it ends", async () => {
    const [first, next] = [await jobOf("OUT-1"), await jobOf("OUT-2")];
    await instance.db.run("update hosts set paused_until = $1, paused_since = $1, consecutive_pauses = 1", startMs - 1);
    await world.record(first);
    expect(await rowsOfAttempts()).toBe(1);
    expect(await instance.db.get("select paused_until, consecutive_pauses from hosts")).toEqual({
      paused_until: null,
      consecutive_pauses: 0,
    });
    await world.record(next);
    expect(await rowsOfAttempts()).toBe(1);
  });

  test("if its delivery was canceled meanwhile, which it stays", async () => {
    const { view } = await world.watch("OUT-1");
    const job = only((await world.see("OUT-1", "queued")).jobs);
    await world.store.removeWatch({ by: null, accountId: job.event.accountId, watchId: view.watch.id, purge: false, nowMs: startMs });
    expect((await world.record(job)).delivery.status).toBe("canceled");
    expect((await world.deliveryOf(job)).attempts).toHaveLength(1);
  });

  test("if its delivery belongs to no watch: a test", async () => {
    const { target } = await jobOf("OUT-1");
    const created = await world.store.createTest({ accountId: (await world.account()).id, endpointId: target.id, nowMs: startMs });
    if (created.kind !== "claimed") throw new Error(created.kind);
    await world.record({ ...created.job, mode: "scheduled" });
    expect(await rowsOfAttempts()).toBe(1);
  });
});

test("a success that needs the lock of its endpoint does not hold up the plain ones of its batch", async () => {
  const [first, next] = [
    await jobOf("OUT-1", "queued", "https://failing.example/"),
    await jobOf("OUT-2", "queued", "https://failing.example/"),
  ];
  const plain = await jobOf("OUT-3");
  await world.record(first, answered(500));
  const other = new pg.Client({ connectionString: database.url });
  await other.connect();
  await other.query("begin");
  await other.query("select 1 from endpoints where id = $1 for update", [decodeId(next.target.id)]);
  const waiting = world.record(next);
  expect((await world.record(plain)).delivery.status).toBe("delivered");
  // The row of the plain success is free, so the holder of the endpoint may take it.
  await other.query("set local lock_timeout = 1000");
  await other.query("select 1 from deliveries for update");
  await other.end();
  expect((await waiting).endpoint.health.consecutiveFailures).toBe(0);
});

test("an attempt whose lease was lost is fenced, although its delivery is pending", async () => {
  const job = await jobOf("OUT-1");
  await instance.db.run("update deliveries set lease_token = lease_token + 1 where id = $1", decodeId(job.deliveryId));
  expect(await world.attempt(job)).toEqual({ kind: "fenced" });
  expect((await world.deliveryOf(job)).view.delivery).toMatchObject({ status: "pending", attemptCount: 0 });
});
