import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { decodeId, newId } from "../../../src/domain/ids.ts";
import { eventually } from "../../harness/service/eventually.ts";
import { TestPostgres } from "../../harness/postgres/postgres-database.ts";
import { answered, startMs, StoreWorld, testPolicy } from "../../harness/store-drafts.ts";

/** Ids in the common lock order. */
const [hookEndpointId, watchEndpointId] = [newId("ep", startMs), newId("ep", startMs)];

/** Opens a call with a watch and with a hook that also subscribes to exhausted deliveries; `jobTo` finds the job to an endpoint. */
async function openNotified() {
  const database = await TestPostgres.create();
  const instance = await database.openAlone({ ...testPolicy, scheduleMs: [0] });
  const beside = await database.openBeside(testPolicy);
  const other = new pg.Client({ connectionString: database.url });
  await other.connect();
  onTestFinished(async () => {
    await other.end();
    await Promise.all([instance.store.close(), beside.store.close()]);
    await database.dispose();
  });
  const world = new StoreWorld(instance.store);
  const events = ["call.queued", "delivery.exhausted"];
  const hook = await world.hook("https://hooks.example/", { events, endpoint: { id: hookEndpointId } });
  await world.watch("OUT-1", { endpoint: { id: watchEndpointId } });
  const { jobs } = await world.see("OUT-1", "queued");
  const jobTo = (endpointId: string) => {
    const job = jobs.find(({ target }) => target.id === endpointId);
    if (job === undefined) throw new Error(`nothing goes to ${endpointId}`);
    return job;
  };
  return { world, db: instance.db, other, jobTo, hookId: hook.view.id, token: instance.owner.token };
}

const lock = (endpointId: string) => `select 1 from endpoints where id = ${decodeId(endpointId)} for no key update`;
type Notified = Awaited<ReturnType<typeof openNotified>>;

test.each<[string, string, (notified: Notified) => readonly [first: string, second: string]]>([
  ["an attempt elsewhere that locks both endpoints", watchEndpointId, () => [lock(hookEndpointId), lock(watchEndpointId)]],
  ["the removal of the hook", hookEndpointId, ({ hookId }) => [`delete from hooks where id = ${decodeId(hookId)}`, lock(hookEndpointId)]],
  ["the eviction of the instance", watchEndpointId, ({ token }) => [`delete from instances where token = ${token}`, lock(watchEndpointId)]],
])(
  "an attempt with an event for hooks waits for %s without holding the locks that the other needs",
  async (_name, endpointId, statementsOf) => {
    // Timeline: another transaction locks the first of two rows, the attempt waits for it, the other transaction locks the second.
    const notified = await openNotified();
    const { world, db, other, jobTo } = notified;
    const [first, second] = statementsOf(notified);
    await other.query("begin");
    await other.query(first);
    const recording = world.record(jobTo(endpointId), answered(500));
    // Wait until the deadlock check of the attempt is over: a cycle closed now is found by the other transaction.
    await eventually(
      () => db.all("select 1 from pg_locks where waitstart < clock_timestamp() - 1.2 * current_setting('deadlock_timeout')::interval"),
      (waiting) => waiting.length > 0,
    );
    await other.query(second);
    await other.query("commit");
    expect((await recording).delivery.status).toBe("exhausted");
  },
);
