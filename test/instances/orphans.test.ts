import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "../harness/service/eventually.ts";
import { startInstance } from "./instance.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { statusChange, StoreWorld, testPolicy } from "../harness/store-drafts.ts";

test("calls and deliveries that an answer lost left to an instance without its knowledge are taken up after the trouble", async () => {
  // Setup: the rows are as a commit leaves them whose answer never came: a call and a delivery are this instance's, and
  // it has neither in memory. Timeline: the database does not answer for some seconds, then it does.
  // What this proves: nothing stays behind that other instances would not take while this one lives.
  const database = await TestPostgres.create();
  const simulator = await simulatedUpstream();
  onTestFinished(() => database.dispose());
  const { client } = await startInstance({ databaseUrl: database.url, upstreamUrl: simulator.url });
  const token = await tokenOf(database);
  const other = await database.openBeside(testPolicy);
  onTestFinished(() => other.store.close());
  const world = new StoreWorld(other.store);
  world.nowMs = Date.now();
  const callSid = simulator.trigger({ scenario: [{ atMs: 0, status: "queued" }] });
  await world.watch(callSid);
  const { jobs } = await world.commit(callSid, [statusChange("queued")]);
  expect(jobs).toHaveLength(1);
  await other.db.run("update calls set owner_token = $1", token);
  await other.db.run("update deliveries set lease_owner = $1", token);

  const blocker = new pg.Client({ connectionString: database.url });
  await blocker.connect();
  onTestFinished(() => blocker.end());
  await blocker.query("begin; lock table calls in access exclusive mode");
  await eventually(
    async () => (await client.get("/v1/watches?limit=1")).status,
    (status) => status === 503,
  );
  await blocker.query("commit");

  await simulator.polled(callSid);
  // The service cannot sign with its secret, so the attempt fails, but it is recorded.
  const [job] = jobs;
  await eventually(
    async () => (await client.get(`/v1/deliveries/${job?.deliveryId}`)).body["attempt_count"],
    (attempts) => attempts === 1,
    30_000,
  );
}, 60_000);

test("watches of a source that no instance has any more expire", async () => {
  // Setup: a watch whose source is taken out of the environment, and whose deadline passed more than two hours ago.
  // Timeline: the instance that polled it stops, one without the source starts.
  // What this proves: a call whose source no instance has is claimed all the same, to end it; an instance that gets the
  // source goes on polling it for another watch.
  const database = await TestPostgres.create();
  const simulator = await simulatedUpstream();
  onTestFinished(() => database.dispose());
  const before = await startInstance({ databaseUrl: database.url, upstreamUrl: simulator.url });
  const callSid = simulator.trigger({ scenario: [{ atMs: 0, status: "queued" }] });
  const { body } = await before.client.post("/v1/watches", { call_sid: callSid, callback_url: "http://127.0.0.1:9/none" });
  const later = await before.client.post("/v1/watches", {
    call_sid: callSid,
    callback_url: "http://127.0.0.1:9/later",
    expires_at: new Date(Date.now() + 6 * 24 * 60 * 60 * 1000).toISOString(),
  });
  expect(later.status).toBe(201);
  await simulator.polled(callSid);
  await before.stop();
  const administrator = new pg.Client({ connectionString: database.url });
  await administrator.connect();
  await administrator.query("update watches set expires_at = expires_at - $1::bigint", [(24 + 3) * 60 * 60 * 1000]);
  await administrator.end();

  const nothing = { POLYAI_BASE_URL: "", POLYAI_AUTH_TOKEN: "" };
  const { client } = await startInstance({ databaseUrl: database.url, upstreamUrl: simulator.url, environment: nothing });
  const path = `/v1/watches/${String(body["id"])}`;
  const ended = await eventually(
    async () => (await client.get(path)).body,
    ({ status }) => status !== "active",
    30_000,
  );
  expect(ended).toMatchObject({ status: "ended", end_reason: "expired" });
  const events = (await client.get(`${path}/events`)).body["data"] as readonly { readonly type: string }[];
  expect(events.map(({ type }) => type)).toEqual(["call.queued", "watch.expired"]);

  // An instance with the source polls what is still watched.
  simulator.script(callSid, { scenario: [{ atMs: 0, status: "calling" }] });
  await startInstance({ databaseUrl: database.url, upstreamUrl: simulator.url });
  const laterPath = `/v1/watches/${String(later.body["id"])}`;
  await eventually(
    async () => (await client.get(laterPath)).body["call"] as { readonly status: string },
    ({ status }) => status === "calling",
    30_000,
  );
}, 60_000);

async function tokenOf(database: TestPostgres): Promise<number> {
  const reader = new pg.Client({ connectionString: database.url });
  await reader.connect();
  const { rows } = await reader.query<{ token: string }>("select token from instances");
  await reader.end();
  return Number(rows[0]?.token);
}
