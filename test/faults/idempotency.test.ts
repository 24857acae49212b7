import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/adapters/clock.ts";
import { createSecretBox, generateEncryptionKey, parseEncryptionKeys } from "../../src/adapters/sealing/secret-box.ts";
import { openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import type { ScriptedAnswer } from "../../src/cli/receiver/receiver.ts";
import { Idempotency } from "../../src/engine/requests/idempotency.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";
import { testPolicy } from "../harness/store-drafts.ts";

const sandboxWatch = (callbackUrl: string, name: string) => ({
  call_sid: `OUT-sandbox-slow-${name}`,
  source: "sandbox",
  callback_url: callbackUrl,
  events: ["terminal"],
});

test("killed between the commit and the answer: the same key gets the answer that was lost", async () => {
  const folder = await temporaryFolder();
  const [path, key] = [join(folder, "ringback.db"), generateEncryptionKey()];
  const victim = spawn(process.execPath, [new URL("./idempotency-victim.ts", import.meta.url).pathname, path, key]);
  let said = "";
  victim.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const [, signal] = (await once(victim, "close")) as [number | null, NodeJS.Signals | null];
  expect(signal).toBe("SIGKILL");
  const { id, accountId } = JSON.parse(said) as { id: string; accountId: string };

  const store = await openSqliteStore({ path, policy: testPolicy });
  onTestFinished(() => store.close());
  const parsed = parseEncryptionKeys(key);
  const secretBox = createSecretBox(parsed.kind === "keys" ? parsed.keys : []);
  const idempotency = new Idempotency({ store, secretBox, clock: systemClock, keyedHash: (text) => text, maxStoredBytes: 0 });
  expect(await store.getWatch(accountId, id)).not.toBeNull();
  const request = { accountId, method: "POST", path: "/v1/watches", key: "a", bodyHash: "hash" };
  expect(await idempotency.take(request)).toEqual({
    kind: "key_taken",
    by: "same_request",
    answer: { status: 201, contentType: "application/json", body: said },
  });
});

test("killed under load: every key is one watch, and its answer is repeated", async () => {
  const receiver = await startReceiver();
  onTestFinished(() => receiver.close());
  const service = await startService({ as: "process" });
  const ask = (n: number, { send } = service.client) =>
    send("POST", "/v1/watches", sandboxWatch(receiver.url, String(n)), { "idempotency-key": `key-${n}` });

  const numbers = Array.from({ length: 300 }, (_, n) => n);
  const answered = new Map<number, string>();
  let killed: Promise<void> | null = null;
  const wave = numbers.map(async (n) => {
    const answer = await ask(n).catch(() => null);
    if (answer?.status === 201) answered.set(n, answer.text);
    if (answered.size === 100) killed ??= service.kill();
  });
  await Promise.all(wave);
  await killed;
  expect(answered.size).toBeGreaterThanOrEqual(100);
  const { client } = await service.startNextHere();

  const again = await Promise.all(numbers.map((n) => ask(n, client)));
  expect(new Set(again.map(({ status }) => status))).toEqual(new Set([201]));
  for (const [n, text] of answered) expect([again[n]?.headers["idempotency-replayed"], again[n]?.text]).toEqual(["true", text]);
  const sids: unknown[] = [];
  for (let cursor: unknown = ""; cursor !== null;) {
    const page = (await client.get(`/v1/watches?limit=200${cursor === "" ? "" : `&cursor=${String(cursor)}`}`)).body;
    sids.push(...(page["data"] as { call_sid: string }[]).map(({ call_sid }) => call_sid));
    cursor = page["next_cursor"];
  }
  expect(sids).toHaveLength(numbers.length);
  expect(new Set(sids).size).toBe(numbers.length);
});

test("killed between the acceptance of a test and its answer: the key makes that attempt, once, and is then answered", async () => {
  const webhookIds: string[] = [];
  const arrived = Promise.withResolvers<null>();
  let answer: ScriptedAnswer = "hang";
  const receiver = await startReceiver({
    answers: () => answer,
    onDelivery: ({ webhookId }) => {
      webhookIds.push(webhookId);
      arrived.resolve(null);
    },
  });
  onTestFinished(() => receiver.close());
  const service = await startService({ as: "process" });
  const watch = (await service.client.post("/v1/watches", sandboxWatch(receiver.url, "a"))).body;
  const path = `/v1/endpoints/${String(watch["endpoint_id"])}/test`;
  const ask = ({ send } = service.client) => send("POST", path, undefined, { "idempotency-key": "a" });
  const lost = ask().catch(() => null);
  await arrived.promise;
  await service.kill();
  expect(await lost).toBeNull();

  answer = 204;
  const { client } = await service.startNextHere();
  const first = await ask(client);
  expect([first.status, first.body]).toMatchObject([200, { number: 1, decision: "delivered", status_code: 204 }]);
  const again = await ask(client);
  expect([again.status, again.text, again.headers["idempotency-replayed"]]).toEqual([200, first.text, "true"]);
  expect(webhookIds).toHaveLength(2);
  expect(new Set(webhookIds).size).toBe(1);
  const deliveries = (await client.get("/v1/deliveries")).body["data"] as { event_type: string }[];
  expect(deliveries.filter(({ event_type }) => event_type === "endpoint.test")).toHaveLength(1);
});
