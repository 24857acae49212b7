import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { collectingReceiver } from "../harness/receivers/collecting-receiver.ts";
import type { Client } from "../harness/service/client.ts";
import { signingSecret } from "../harness/service/environment.ts";
import { eventually } from "../harness/service/eventually.ts";
import { startService } from "../harness/service/service.ts";
import { breakingOff, hanging, placing, triggerUpstream } from "../harness/upstream/trigger-upstream.ts";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { startNameServer } from "../harness/receivers/name-server.ts";

type Shown = { readonly id: string; readonly state: string };
type UnknownEvent = { readonly type: string; readonly data: { readonly placing_id: string; readonly idempotency_key: string } };

const body = { call: { to_number: "+441234567890" }, callback_url: null, metadata: { lead: "1" } };
const place = (client: Client, key: string) => client.post("/v1/calls", body, { "idempotency-key": key });

/** A service as a process, with a hook that is notified of unknown calls. */
async function placingProcess(database: "sqlite-file" | "postgres", environment: Readonly<Record<string, string>> = {}) {
  const upstream = await triggerUpstream();
  const receiver = await collectingReceiver();
  const postgres = database === "postgres" ? await TestPostgres.create() : null;
  if (postgres !== null) onTestFinished(() => postgres.dispose());
  const service = await startService({
    as: "process",
    database: postgres === null ? "sqlite-file" : { url: postgres.url },
    environment: { ...upstream.environment, ...environment },
  });
  await service.client.post("/v1/hooks", {
    url: `${receiver.url}/ops`,
    events: ["call.unknown"],
    format: "standard",
    signing_secret: signingSecret,
  });
  /** Starts the next service and returns its client. On a shared database it waits for the lease of the intent, which ends here at once. */
  const restart = async () => {
    if (postgres !== null) {
      const client = new pg.Client({ connectionString: postgres.url });
      await client.connect();
      await client.query("update placings set lease_until = 0 where state = 'sending'");
      await client.end();
    }
    return (await service.startNextHere()).client;
  };
  return { upstream, receiver, service, client: service.client, restart };
}

describe.each(["sqlite-file", "postgres"] as const)("a process that is killed while it places a call (%s)", (database) => {
  test("after the commit, the request or the head: the same answer, or unknown, and no repeat dials", { timeout: 90_000 }, async () => {
    // Setup: one call is placed; of two more the upstream has the trigger and gives no whole answer. Timeline: SIGKILL,
    // start, the same requests again.
    // What this proves: at most one dial of each, and the outcome is said without anybody asking.
    const { upstream, receiver, service, client, restart } = await placingProcess(database);
    const placed = await place(client, "committed");
    const dialled: Promise<unknown>[] = [];
    for (const [key, answer] of [
      ["written", hanging],
      ["head", breakingOff],
    ] as const) {
      upstream.answer(answer);
      const before = upstream.triggers.length;
      dialled.push(place(client, key).catch(() => null));
      await eventually(
        () => Promise.resolve(upstream.triggers.length),
        (count) => count === before + 1,
      );
    }
    await service.kill();
    await Promise.all(dialled);
    const next = await restart();
    await receiver.until(() => receiver.deliveries.length === 2);
    const unknown = (await next.list<Shown>("/v1/placings")).filter(({ state }) => state === "unknown");
    const events = receiver.deliveries.map((delivery) => JSON.parse(String(delivery.body)) as UnknownEvent);
    expect(events.map(({ type }) => type)).toEqual(["call.unknown", "call.unknown"]);
    expect(new Set(events.map(({ data }) => data.placing_id))).toEqual(new Set(unknown.map(({ id }) => id)));
    expect(events.map(({ data }) => data.idempotency_key).toSorted()).toEqual(["head", "written"]);

    upstream.answer(placing("OUT-second"));
    const again = await place(next, "committed");
    expect([placed.status, again.status, again.text]).toEqual([201, 201, placed.text]);
    for (const { data } of events) {
      const repeated = await place(next, data.idempotency_key);
      expect([repeated.status, repeated.body["placing_id"]]).toEqual([502, data.placing_id]);
    }
    expect(upstream.triggers).toHaveLength(3);
  });

  test("after the intent, before anything is sent: unknown, and nothing is ever sent", { timeout: 90_000 }, async () => {
    // Setup: the name server of the upstream does not answer, so that the intent is committed and nothing is dialled.
    const names = await startNameServer(() => "silence");
    const { upstream, receiver, service, client, restart } = await placingProcess(database, {
      DNS_SERVERS: names.address,
      POLYAI_BASE_URL: "http://upstream.silent.example",
    });
    const dialled = place(client, "k").catch(() => null);
    await eventually(
      () => client.list<Shown>("/v1/placings?state=sending"),
      (placings) => placings.length === 1,
    );
    await service.kill();
    await dialled;
    const next = await restart();
    await receiver.until(() => receiver.deliveries.length === 1);
    expect((await place(next, "k")).status).toBe(502);
    expect(upstream.triggers).toEqual([]);
  });
});
