import { copyFile, rm } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { fastPolling } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import type { Json } from "../harness/service/client.ts";
import { second } from "../harness/store-drafts.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

type Feed = {
  readonly data: readonly (Json & { readonly id: string; readonly type: string; readonly data: Json })[];
  readonly next_cursor: string;
};

const idsOf = ({ data, next_cursor }: Feed) => [data.map(({ id }) => id), next_cursor];

const feed = (service: ServiceWorld, query: string) => service.get<Feed>(`/v1/events?${query}`);

describe("a client that goes on from next_cursor", () => {
  test("sees every event once and in order while calls are registered and committed at the same time", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive();
    await service.client.post("/v1/hooks", { url: receiver.url() });
    // Another client only ever waits: it is woken, for its thirty seconds never pass here.
    const waited: string[] = [];
    const waiter = (async () => {
      for (let after = ""; waited.length < 12 * 10 * 3;) {
        const page = await feed(service, `wait=30&limit=200${after}`);
        waited.push(...page.data.map(({ id }) => id));
        after = `&after=${page.next_cursor}`;
      }
    })();
    const seen: string[] = [];
    let cursor = "";
    const readOn = async (limit: number): Promise<number> => {
      const page = await feed(service, `limit=${limit}${cursor}`);
      seen.push(...page.data.map(({ id }) => id));
      cursor = `&after=${page.next_cursor}`;
      return page.data.length;
    };
    for (let round = 0; round < 12; round++) {
      const registrations = Array.from({ length: 10 }, () => service.watch(null, { scenario: "success", events: null }));
      await Promise.all([...registrations, readOn(7).then(() => readOn(3)), service.clock.advance(second)]);
    }
    await service.pass(12 * second);
    while ((await readOn(50)) > 0);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toHaveLength(12 * 10 * 3);
    // Nothing was left out: read in one go it is the same.
    const all: string[] = [];
    for (let after = ""; ;) {
      const page = await feed(service, `limit=200${after}`);
      if (page.data.length === 0) break;
      all.push(...page.data.map(({ id }) => id));
      after = `&after=${page.next_cursor}`;
    }
    expect(all).toEqual(seen);
    await waiter;
    expect(waited).toEqual(seen);
    const first = await service.get<Json>(`/v1/events/${seen[0] ?? ""}`);
    expect(first["id"]).toBe(seen[0]);
  });
});

describe("wait", () => {
  test("is answered by the next event, once it is there", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive();
    const { next_cursor: start } = await feed(service, "");
    const waiting = feed(service, `after=${start}&wait=30`);
    await service.watch(receiver.url());
    const page = await waiting;
    expect(page.data.map(({ type }) => type)).toEqual(["call.queued"]);
    expect((await feed(service, `after=${page.next_cursor}`)).data).toEqual([]);
  });

  test("goes on when what came was not asked for, and ends empty with the time, saying where to go on", async () => {
    const service = await ServiceWorld.start();
    const receiver = await service.receive();
    const { next_cursor: start } = await feed(service, "");
    const waiting = feed(service, `after=${start}&wait=20&type=watch.*`);
    await service.watch(receiver.url());
    await service.quiet();
    await service.clock.advance(20 * second);
    const page = await waiting;
    expect(page.data).toEqual([]);
    expect(page.next_cursor).not.toBe(start);
  });

  test("is answered by a test event, and by what is about the service itself", async () => {
    const service = await ServiceWorld.start({ RETRY_SCHEDULE: "0s" });
    const [broken, operations] = [await service.receive(() => 500), await service.receive()];
    await service.client.post("/v1/hooks", { url: operations.url(), events: ["delivery.exhausted"] });
    const watch = await service.watch(operations.url("/other"));
    await service.attempted(1);
    const { next_cursor: start } = await feed(service, "");
    const forTest = feed(service, `after=${start}&wait=30&type=endpoint.test`);
    const forExhausted = feed(service, `after=${start}&wait=30&type=delivery.exhausted`);
    await service.client.post(`/v1/endpoints/${String(watch["endpoint_id"])}/test`);
    expect((await forTest).data.map(({ type }) => type)).toEqual(["endpoint.test"]);
    await service.watch(broken.url());
    expect((await forExhausted).data.map(({ type }) => type)).toEqual(["delivery.exhausted"]);
  });
});

describe("a backup that is restored", () => {
  test("refuses cursors past it and keeps older ones", { timeout: 60_000 }, async () => {
    // Timeline: one call has an event, the backup, a second call has one, the backup is put back, a third call has one.
    const simulator = await simulatedUpstream();
    const environment = { POLYAI_BASE_URL: simulator.url, POLYAI_AUTH_TOKEN: "any", ...fastPolling };
    const service = await startService({ as: "process", environment });
    const { client, databasePath } = service;
    const watch = async () => {
      const callSid = simulator.trigger({ scenario: [{ atMs: 0, status: "queued" }] });
      const body = { call_sid: callSid, callback_url: "http://127.0.0.1:9/none" };
      expect((await client.post("/v1/watches", body)).status).toBe(201);
      return body;
    };
    const read = async (query: string) => {
      const { status, body } = await client.get(`/v1/events?${query}`);
      return { status, body: body as unknown as Feed & { readonly type: string; readonly detail: string } };
    };
    await watch();
    const before = (await read("wait=30")).body.next_cursor;
    await service.command(["backup", `${databasePath}.copy`]);
    await watch();
    const past = (await read(`wait=30&after=${before}`)).body;
    expect(past.data).toHaveLength(1);
    await service.stop();
    for (const suffix of ["", "-wal", "-shm"]) await rm(databasePath + suffix, { force: true });
    await copyFile(`${databasePath}.copy`, databasePath);
    await service.start();

    const third = await watch();
    const gone = await read(`wait=30&after=${past.next_cursor}`);
    expect(gone).toMatchObject({ status: 409, body: { type: "urn:ringback:problem:cursor-gone" } });
    expect(gone.body.detail).toContain("since");
    const next = (await read(`wait=30&after=${before}`)).body;
    expect(next.data.map(({ data }) => data["call_sid"])).toEqual([third.call_sid]);
    const all = (await read("since=2020-01-01T00:00:00Z")).body;
    expect(all.data).toHaveLength(2);
    expect((await read(`after=${past.next_cursor}&since=2020-01-01T00:00:00Z`)).status).toBe(409);
    const latest = (await read("after=latest")).body;
    expect(latest).toEqual({ data: [], next_cursor: next.next_cursor });
    // Attempts go on meanwhile.
    expect(idsOf((await read("after=")).body)).toEqual(idsOf(all));
  });
});
