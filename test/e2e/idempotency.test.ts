import { readFile, readdir } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { generateEncryptionKey } from "../../src/adapters/sealing/secret-box.ts";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import type { ReceiverOptions } from "../../src/cli/receiver/receiver.ts";
import { FakeClock } from "../harness/fake-clock.ts";
import type { Answer, Send } from "../harness/service/client.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";

const hour = 3_600_000;
const sandboxWatch = (name: string, callbackUrl: string) => ({
  call_sid: `OUT-sandbox-slow-${name}`,
  source: "sandbox",
  callback_url: callbackUrl,
});

async function receiverUrl(options: ReceiverOptions = {}): Promise<string> {
  const receiver = await startReceiver(options);
  onTestFinished(() => receiver.close());
  return receiver.url;
}

/** A receiver that answers 200 when `answered` resolves. */
async function slowReceiver(answered: () => Promise<unknown>): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    void answered().then(() => response.end());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const under = (send: Send, key: string) => (path: string, body?: unknown) => send("POST", path, body, { "idempotency-key": key });
const replayedOf = ({ headers }: Answer) => headers["idempotency-replayed"];

/** The same answer, byte for byte, marked as a replay. */
function expectReplay(replay: Answer, first: Answer): void {
  expect(replayedOf(first)).toBeUndefined();
  expect(replayedOf(replay)).toBe("true");
  expect([replay.status, replay.headers["content-type"], replay.text]).toEqual([first.status, first.headers["content-type"], first.text]);
}

test("every POST is done once and answered with the same bytes, secrets included", async () => {
  const webhookIds: string[] = [];
  const url = await receiverUrl({ onDelivery: ({ webhookId }) => void webhookIds.push(webhookId) });
  const clock = new FakeClock(Date.now());
  const { client } = await startService({ clock });
  const { send } = client;
  const keyed = under(send, "k-1");

  const body = sandboxWatch("a", `${url}/a`);
  const watch = await keyed("/v1/watches", body);
  expect(watch.status).toBe(201);
  expect(watch.body["signing_secret"]).toMatch(/^whsec_/);
  expectReplay(await keyed("/v1/watches", body), watch);
  const twoKeys = await send("POST", "/v1/watches", body, { "idempotency-key": ["k-1", "k-2"] });
  expect([twoKeys.status, twoKeys.body["errors"]]).toMatchObject([422, [{ parameter: "Idempotency-Key" }]]);

  const batchBody = { watches: [sandboxWatch("b", `${url}/b`), { call_sid: "nonsense" }] };
  const batch = await keyed("/v1/watches/batch", batchBody);
  expect(batch.body).toMatchObject({ results: [{ status: 201 }, { status: 422 }] });
  expectReplay(await keyed("/v1/watches/batch", batchBody), batch);
  const emptyBatch = await under(send, "k-2")("/v1/watches/batch", { watches: [1] });
  expectReplay(await under(send, "k-2")("/v1/watches/batch", { watches: [1] }), emptyBatch);

  const hookBody = { url: `${url}/hook`, events: ["watch.lost"], zap_id: 7 };
  const hook = await keyed("/v1/hooks", hookBody);
  expect([hook.status, hook.body["ignored"]]).toEqual([201, ["zap_id"]]);
  expect(hook.body["secret"]).toMatch(/^whsec_/);
  expectReplay(await keyed("/v1/hooks", hookBody), hook);

  const endpointId = String(hook.body["endpoint_id"]);
  const rotation = await keyed(`/v1/endpoints/${endpointId}/rotate-secret`);
  expectReplay(await keyed(`/v1/endpoints/${endpointId}/rotate-secret`), rotation);

  webhookIds.length = 0;
  const made = await keyed(`/v1/endpoints/${endpointId}/test`);
  expect(made.body).toMatchObject({ number: 1, decision: "delivered" });
  for (let again = 0; again < 3; again++) expectReplay(await keyed(`/v1/endpoints/${endpointId}/test`), made);

  const recover = { since: "2026-01-01T00:00:00Z" };
  const recovered = await keyed(`/v1/endpoints/${endpointId}/recover`, recover);
  expect(recovered.status).toBe(202);
  expectReplay(await keyed(`/v1/endpoints/${endpointId}/recover`, recover), recovered);

  const [delivery] = await client.list(`/v1/deliveries?endpoint_id=${endpointId}`);
  // One test or retry per second and endpoint.
  await clock.advance(1000);
  expect((await send("POST", `/v1/endpoints/${endpointId}/test`)).status).toBe(200);
  const path = `/v1/deliveries/${String(delivery?.["id"])}/retry`;
  // A 429 is not stored.
  expect((await keyed(path)).status).toBe(429);
  await clock.advance(1000);
  const retry = await keyed(path);
  expect(retry.status).toBe(202);
  expectReplay(await keyed(path), retry);
  await expect.poll(async () => (await send("GET", `/v1/deliveries/${String(delivery?.["id"])}`)).body["attempt_count"]).toBe(2);
  expectReplay(await keyed(path), retry);
  expect(await client.list("/v1/watches")).toHaveLength(2);
  expect(await client.list("/v1/hooks")).toHaveLength(1);
  expect(await client.list(`/v1/deliveries?endpoint_id=${endpointId}`)).toHaveLength(2);
  // Two tests and a retry of the first: no replay sent anything.
  expect(webhookIds).toHaveLength(3);
});

test("another body is 422, even an invalid one; another path is another key", async () => {
  const { client } = await startService();
  const { send } = client;
  const url = await receiverUrl();
  const body = sandboxWatch("a", url);
  await under(send, "a")("/v1/watches", body);
  for (const other of [sandboxWatch("b", url), `${JSON.stringify(body)} `, "{", "", { call_sid: 1 }]) {
    const answer = await under(send, "a")("/v1/watches", other);
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({ type: "urn:ringback:problem:idempotency-mismatch", errors: [{ parameter: "Idempotency-Key" }] });
  }
  expect((await under(send, "a")("/v1/watches/batch", { watches: [sandboxWatch("c", url)] })).status).toBe(200);
  expect(await client.list("/v1/watches")).toHaveLength(2);
});

test("a 409 is stored, another 4xx is not", async () => {
  const { send } = (await startService()).client;
  const url = await receiverUrl();
  const watch = (await send("POST", "/v1/watches", sandboxWatch("a", url))).body;
  const other = { ...sandboxWatch("a", url), metadata: { a: "b" } };
  const conflict = await under(send, "a")("/v1/watches", other);
  expect(conflict.status).toBe(409);
  await send("DELETE", `/v1/watches/${String(watch["id"])}`);
  expectReplay(await under(send, "a")("/v1/watches", other), conflict);
  expect((await under(send, "b")("/v1/watches", other)).status).toBe(201);

  const withoutUrl = { call_sid: "OUT-sandbox-slow-b", source: "sandbox" };
  expect((await under(send, "c")("/v1/watches", withoutUrl)).status).toBe(422);
  await send("POST", "/v1/hooks", { url: `${url}/hook` });
  const accepted = await under(send, "c")("/v1/watches", withoutUrl);
  expect([accepted.status, replayedOf(accepted)]).toEqual([201, undefined]);
});

test("of many at once one is done, the others get its answer or have to come again", async () => {
  const { client } = await startService();
  const { send } = client;
  const body = sandboxWatch("a", await receiverUrl());
  const answers = await Promise.all(Array.from({ length: 30 }, () => under(send, "a")("/v1/watches", body)));
  const done = answers.filter((answer) => answer.status === 201 && replayedOf(answer) === undefined);
  expect(done).toHaveLength(1);
  for (const answer of answers.filter((answer) => answer !== done[0]))
    if (answer.status === 201) expect(answer.text).toBe(done[0]?.text);
    else {
      expect([answer.status, answer.headers["retry-after"]]).toEqual([409, "1"]);
      expect(answer.body["type"]).toBe("urn:ringback:problem:idempotency-in-progress");
    }
  expect(await client.list("/v1/watches")).toHaveLength(1);
  const replays = await Promise.all(Array.from({ length: 30 }, () => under(send, "a")("/v1/watches", body)));
  for (const replay of replays) expectReplay(replay, done[0] as Answer);
});

test("an answer is replayed for 24 hours, even if its request would be refused by now", async () => {
  const clock = new FakeClock(Date.now());
  const { send } = (await startService({ clock })).client;
  const startedMs = clock.nowMs();
  const body = { ...sandboxWatch("a", await receiverUrl()), expires_at: new Date(startedMs + hour).toISOString() };
  const first = await under(send, "a")("/v1/watches", body);
  expect(first.status).toBe(201);
  clock.setWall(startedMs + 24 * hour - 1);
  expectReplay(await under(send, "a")("/v1/watches", body), first);
  clock.setWall(startedMs + 24 * hour);
  expect((await under(send, "a")("/v1/watches", body)).status).toBe(422);
});

test("a test under way is a conflict for its key, and only one is sent", async () => {
  const arrived = Promise.withResolvers<null>();
  const release = Promise.withResolvers<null>();
  let webhooks = 0;
  const url = await slowReceiver(() => {
    webhooks += 1;
    arrived.resolve(null);
    return release.promise;
  });
  const { send } = (await startService()).client;
  const watch = (await send("POST", "/v1/watches", { ...sandboxWatch("a", url), events: ["terminal"] })).body;
  const path = `/v1/endpoints/${String(watch["endpoint_id"])}/test`;
  const first = under(send, "a")(path);
  await arrived.promise;
  const meanwhile = await under(send, "a")(path);
  expect([meanwhile.status, meanwhile.headers["retry-after"]]).toEqual([409, "1"]);
  expect((await under(send, "a")(path, {})).status).toBe(422);
  release.resolve(null);
  const answer = await first;
  expect(answer.body).toMatchObject({ decision: "delivered" });
  expectReplay(await under(send, "a")(path), answer);
  expect(webhooks).toBe(1);
});

test("of many tests at once one is sent", async () => {
  let webhooks = 0;
  const url = await slowReceiver(async () => void (webhooks += 1));
  const { send } = (await startService()).client;
  const watch = (await send("POST", "/v1/watches", { ...sandboxWatch("a", url), events: ["terminal"] })).body;
  const path = `/v1/endpoints/${String(watch["endpoint_id"])}/test`;
  const answers = await Promise.all(Array.from({ length: 10 }, () => under(send, "a")(path)));
  expect(answers.filter(({ status }) => status === 200)).not.toEqual([]);
  expect(answers.filter(({ status }) => status !== 200 && status !== 409)).toEqual([]);
  expect(webhooks).toBe(1);
});

test("answers outlive a restart and a new encryption key, and lie on the disk sealed", async () => {
  const folder = await temporaryFolder();
  const [oldKey, newKey] = [generateEncryptionKey(), generateEncryptionKey()];
  const database = { url: `sqlite:${join(folder, "ringback.db")}` };
  const before = await startService({ database, environment: { RINGBACK_ENCRYPTION_KEY: oldKey } });
  const body = { ...sandboxWatch("a", await receiverUrl()), metadata: { note: "in-the-body" } };
  const first = await under(before.client.send, "visible-key")("/v1/watches", body);
  const secret = String(first.body["signing_secret"]);
  const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), "latin1")));
  expect(files.some((file) => file.includes("in-the-body"))).toBe(true);
  for (const file of files) for (const hidden of [secret, "visible-key", '"signing_secret"']) expect(file.includes(hidden)).toBe(false);
  await before.stop();

  const after = await startService({ database, environment: { RINGBACK_ENCRYPTION_KEY: `${newKey},${oldKey}` } });
  expectReplay(await under(after.client.send, "visible-key")("/v1/watches", body), first);
});
