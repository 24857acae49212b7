import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { openSqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { decodeId } from "../../../src/domain/ids.ts";
import type { SendJob } from "../../../src/ports/stores/send-job.ts";
import { expectCountersRight } from "../../harness/counters.ts";
import { answered, expectKind, only, second, startMs, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

let world: StoreWorld;
let beside: DatabaseSync;

beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), "ringback-plain-"));
  const path = join(folder, "ringback.db");
  world = new StoreWorld(await openSqliteStore({ path, policy: testPolicy }));
  beside = new DatabaseSync(path, { timeout: 5000 });
  onTestFinished(async () => {
    await expectCountersRight(world.store);
    beside.close();
    await world.store.close();
    await rm(folder, { recursive: true });
  });
});

const rowsOfAttempts = () => beside.prepare("select count(*) as n from attempts").get()?.["n"];

async function jobOf(callSid: string, status = "queued"): Promise<SendJob> {
  if (status === "queued") await world.watch(callSid);
  return only((await world.see(callSid, status)).jobs);
}

const healthOf = async (job: SendJob) => (await world.store.getEndpoint((await world.account()).id, job.target.id))?.endpoint.health;

describe("a first attempt that delivers", () => {
  test("is listed as the others are, and has no row of its own", async () => {
    const job = await jobOf("OUT-1");
    world.pass(40);
    expect((await world.record(job)).attempt).toMatchObject({ number: 1, decision: "delivered" });
    expect(rowsOfAttempts()).toBe(0);
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
      nextAttemptAtMs: null,
      firstAttemptAtMs: startMs + 40,
      settledAtMs: startMs + 40,
    });
    expect(view).toMatchObject({ leased: false, dueAtMs: null });
  });

  test("is followed in the list by the manual retry of its delivery", async () => {
    const job = await jobOf("OUT-1");
    await world.record(job);
    const { id: accountId } = await world.account();
    const request = { by: null, accountId, deliveryId: job.deliveryId, nowMs: world.pass(second) };
    await world.record(expectKind(await world.store.claimManualRetry(request), "claimed").job, answered(500));
    const { attempts } = await world.deliveryOf(job);
    expect(attempts.map(({ number, decision, statusCode }) => [number, decision, statusCode])).toEqual([
      [1, "delivered", 200],
      [2, "failed", 500],
    ]);
    expect(rowsOfAttempts()).toBe(1);
  });

  test("notes the time of the success at most once a second", async () => {
    await world.record(await jobOf("OUT-1"));
    world.pass(999);
    const job = await jobOf("OUT-2");
    await world.record(job);
    expect(await healthOf(job)).toMatchObject({ lastSuccessAtMs: startMs });
    world.pass(1);
    await world.record(await jobOf("OUT-3"));
    expect(await healthOf(job)).toMatchObject({ lastSuccessAtMs: startMs + second });
    expect(rowsOfAttempts()).toBe(0);
  });

  test("leaves the bounds to what else is due at its endpoint", async () => {
    const [first, second] = [await jobOf("OUT-1"), await jobOf("OUT-2")];
    await world.release([second]);
    expect((await world.record(first)).endpointNextDueAtMs).toBe(startMs);
    expect(rowsOfAttempts()).toBe(0);
    expect((await world.claim()).jobs.map(({ deliveryId }) => deliveryId)).toEqual([second.deliveryId]);
  });
});

describe("a first attempt with a 2xx has a row and all consequences", () => {
  test("if something waits behind its delivery, which is due then", async () => {
    const job = await jobOf("OUT-1");
    expect((await world.see("OUT-1", "calling")).jobs).toEqual([]);
    await world.record(job);
    expect(rowsOfAttempts()).toBe(1);
    expect((await world.claim()).jobs.map(({ event }) => event.type)).toEqual(["call.calling"]);
  });

  test("if its endpoint was failing, which it ends", async () => {
    const [first, next] = [await jobOf("OUT-1"), await jobOf("OUT-2")];
    await world.record(first, answered(500));
    await world.record(next);
    expect(rowsOfAttempts()).toBe(2);
    expect(await healthOf(next)).toMatchObject({ consecutiveFailures: 0, failingSinceMs: null });
  });

  test.each(["endpoints", "hosts"])("if there was a pause (%s), which it ends", async (table) => {
    const [first, next] = [await jobOf("OUT-1"), await jobOf("OUT-2")];
    beside.exec(`update ${table} set paused_until = ${startMs - 1}, paused_since = ${startMs - 1}, consecutive_pauses = 1`);
    await world.record(first);
    expect(rowsOfAttempts()).toBe(1);
    expect(beside.prepare(`select paused_until, consecutive_pauses from ${table}`).get()).toEqual({
      paused_until: null,
      consecutive_pauses: 0,
    });
    await world.record(next);
    expect(rowsOfAttempts()).toBe(1);
  });

  test.each(["paused", "disabled"] as const)("if its endpoint is %s", async (state) => {
    const job = await jobOf("OUT-1");
    const { id: accountId } = await world.account();
    await world.store.patchEndpoint({ by: null, accountId, endpointId: job.target.id, patch: { state }, nowMs: startMs });
    expect((await world.record(job)).endpoint.state).toBe(state);
    expect(rowsOfAttempts()).toBe(1);
  });

  test("if its delivery was canceled meanwhile, which it stays", async () => {
    const { view } = await world.watch("OUT-1");
    const job = only((await world.see("OUT-1", "queued")).jobs);
    await world.store.removeWatch({ by: null, accountId: job.event.accountId, watchId: view.watch.id, purge: false, nowMs: startMs });
    expect((await world.record(job)).delivery.status).toBe("canceled");
    expect((await world.deliveryOf(job)).attempts).toHaveLength(1);
    expect(rowsOfAttempts()).toBe(1);
  });

  test("if its delivery belongs to no watch: a test", async () => {
    const { target } = await jobOf("OUT-1");
    const { id: accountId } = await world.account();
    const created = expectKind(await world.store.createTest({ accountId, endpointId: target.id, nowMs: startMs }), "claimed");
    await world.record({ ...created.job, mode: "scheduled" });
    expect(rowsOfAttempts()).toBe(1);
  });

  test("if it is not the first, although its number says so", async () => {
    const job = await jobOf("OUT-1");
    await world.record(job, answered(500));
    const again = only((await world.claim({ nowMs: world.pass(5 * second) })).jobs);
    beside.exec("update endpoints set consecutive_failures = 0, failing_since = null");
    await world.record({ ...again, attemptNumber: 1 });
    const { attempts } = await world.deliveryOf(job);
    expect(attempts.map(({ number, decision }) => [number, decision])).toEqual([
      [1, "retry"],
      [2, "delivered"],
    ]);
  });
});

test("an attempt whose lease was lost is fenced, although its delivery is pending", async () => {
  const job = await jobOf("OUT-1");
  beside.exec(`update deliveries set lease_token = lease_token + 1 where id = ${decodeId(job.deliveryId)}`);
  expect(await world.attempt(job)).toEqual({ kind: "fenced" });
  expect((await world.deliveryOf(job)).view.delivery).toMatchObject({ status: "pending", attemptCount: 0 });
});
