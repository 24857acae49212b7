import { expect, onTestFinished, test } from "vitest";
import { TestPostgres } from "../harness/postgres/postgres-database.ts";
import { eventually } from "../harness/service/eventually.ts";
import type { Client } from "../harness/service/client.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";
import { startInstance } from "./instance.ts";

type Row = {
  readonly instance: string;
  readonly isThis: boolean;
  readonly source: string;
  readonly calls: number;
  readonly rate: number;
  readonly dueMs: number;
};

const ofDefault = (rows: readonly Row[]) => rows.filter(({ source }) => source === "default");
/** Whether two instances share the calls and the rate. */
const isShared = (rows: readonly Row[]) =>
  rows.length === 2 && rows.every(({ calls, rate }) => calls > 0 && rate > 0) && rows.reduce((sum, { calls }) => sum + calls, 0) === 24;

/** The rows of the list of instances, as the operator's page of one of them has it. */
async function instancesOn({ send }: Client, key: string): Promise<readonly Row[]> {
  const headers = { authorization: `Bearer ${key}` };
  const { status, text } = await send("GET", "/dashboard/operator/instances.csv", undefined, headers);
  expect(status).toBe(200);
  const [names = "", ...lines] = text.trim().split("\r\n");
  expect(names).toBe("instance,is_this,source,calls,polls_per_second,last_good_poll_at,oldest_due_poll_ms");
  return lines.map((line) => {
    const [instance = "", isThis, source = "", calls, rate, , dueMs] = line.split(",");
    return { instance, isThis: isThis === "true", source, calls: Number(calls), rate: Number(rate), dueMs: Number(dueMs) };
  });
}

test("the operator's view of each of two instances shows the shares and queue ages of both", { timeout: 120_000 }, async () => {
  const database = await TestPostgres.create();
  onTestFinished(() => database.dispose());
  const simulator = await simulatedUpstream();
  const environment = { POLYAI_MAX_POLLS_PER_SECOND: "100" };
  const setup = { databaseUrl: database.url, upstreamUrl: simulator.url, environment };
  const a = await startInstance(setup);
  const b = await startInstance(setup);
  const { key } = await a.command<{ key: string }>(["key", "create", "--operator"]);
  for (const { client } of [a, b])
    for (let n = 0; n < 12; n++) {
      const call_sid = simulator.trigger({ scenario: [{ atMs: 0, status: "queued" }] });
      expect((await client.post("/v1/watches", { call_sid, callback_url: null })).status).toBe(201);
    }
  const both = () => Promise.all([a, b].map(async ({ client }) => ofDefault(await instancesOn(client, key))));
  // Both pages, each with both instances.
  await eventually(both, (pages) => pages.every(isShared), 60_000);
  // A source that is not polled: what is due waits at both.
  simulator.fault({ kind: "status", statusCode: 401 });
  await eventually(both, (pages) => pages.every((rows) => rows.every(({ dueMs }) => dueMs > 500)), 60_000);
  const [onA, onB] = [ofDefault(await instancesOn(a.client, key)), ofDefault(await instancesOn(b.client, key))];
  expect(onA.map(({ instance }) => instance)).toEqual(onB.map(({ instance }) => instance));
  expect([onA.map(({ isThis }) => isThis), onB.map(({ isThis }) => isThis)]).toEqual([
    [true, false],
    [false, true],
  ]);
  // Together they make no more polls than the source allows.
  expect(onA.reduce((sum, { rate }) => sum + rate, 0)).toBeLessThanOrEqual(100.01);

  const { status, text } = await b.client.send("GET", "/dashboard/operator", undefined, { authorization: `Bearer ${key}` });
  expect(status).toBe(200);
  const shown = text.replaceAll(/<[^>]+>/g, " ").replaceAll(/\s+/g, " ");
  for (const { instance } of onA) expect(shown).toContain(instance);
  expect(shown).toMatch(/Active watches 24 /);
  expect(shown.match(/due for [\d.]+ s/g)?.length).toBeGreaterThanOrEqual(3);
  expect(text).toMatch(/<script src="\/dashboard\/operator\/live-[0-9a-f]+\.js" defer>/);
  const [, script = ""] = /<script src="([^"]+)" defer>/.exec(text) ?? [];
  expect((await b.client.send("GET", script, undefined, { authorization: `Bearer ${key}` })).text).toContain("data-live");

  // One that stops is gone from the view of the other, and its calls are there.
  await a.stop();
  await eventually(
    async () => ofDefault(await instancesOn(b.client, key)).map(({ calls, isThis }) => `${calls} ${isThis}`),
    (rows) => rows.join() === "24 true",
    60_000,
  );
});
