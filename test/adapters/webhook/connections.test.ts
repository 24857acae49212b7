import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebhookAddressGuard } from "../../../src/adapters/webhook/address-guard.ts";
import type { AddressGuardConfig } from "../../../src/adapters/webhook/address-guard.ts";
import { createWebhookSender } from "../../../src/adapters/webhook/sender.ts";
import type { WebhookSenderOptions } from "../../../src/adapters/webhook/sender.ts";
import type { WebhookSender } from "../../../src/ports/webhook-sender.ts";
import { exhaustDescriptors } from "../../harness/run/descriptors.ts";
import { startNameServer } from "../../harness/receivers/name-server.ts";
import { startReceiver, zoo } from "../../harness/receivers/receiver-zoo.ts";

function startSender(config: Partial<AddressGuardConfig> = {}, options: Partial<WebhookSenderOptions> = {}): WebhookSender {
  const guard = new WebhookAddressGuard({
    allow: ["127.0.0.1/32"],
    allowHttp: true,
    ports: [443, 80],
    dnsServers: [],
    publicUrl: null,
    ownPorts: () => [],
    ...config,
  });
  const sender = createWebhookSender(guard, { connectTimeoutMs: 5000, ...options });
  onTestFinished(() => sender.close());
  return sender;
}

/** One webhook after the other; undici gives a connection back a turn of the loop after its answer. */
async function sendInTurn(sender: WebhookSender, url: string, count: number, timeoutMs = 5000) {
  const outcomes = [];
  for (let n = 0; n < count; n++) {
    outcomes.push((await sender.send({ url, method: "POST", headers: {}, body: "{}", timeoutMs, accountId: "acc_1" })).outcome);
    await nextTurn();
    await nextTurn();
  }
  return outcomes;
}

const answerWith = (statusLine: string, headers = "") => ({
  answer: ({ socket }: { readonly socket: { write(text: string): void } }) =>
    socket.write(`HTTP/1.1 ${statusLine}\r\nconnection: keep-alive\r\n${headers}content-length: 2\r\n\r\nok`),
});
const staysLong = "keep-alive: timeout=600, max=1000\r\n";

describe("a connection", () => {
  test.each(["500 No", "502 Bad Gateway", "503 Busy", "599 Odd"])(
    "is closed after %s, regardless of its keep-alive header",
    async (status) => {
      const receiver = await startReceiver(answerWith(status, staysLong));
      await sendInTurn(startSender(), receiver.url, 3);
      expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 2, 3]);
      await receiver.released();
    },
  );

  test.each(["200 OK", "204 No Content", "404 No", "410 Gone", "429 Slow"])("stays after %s", async (status) => {
    const receiver = await startReceiver(status.startsWith("204") ? zoo.noContent : answerWith(status));
    await sendInTurn(startSender(), receiver.url, 3);
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 1, 1]);
  });

  test("is let go when it is old, in use or idle", async () => {
    const receiver = await startReceiver(answerWith("200 OK", staysLong));
    const sender = startSender({}, { maxConnectionAgeMs: 150 });
    const startedMs = performance.now();
    while (performance.now() - startedMs < 400) await sendInTurn(sender, receiver.url, 1);
    const count = receiver.connectionCount();
    expect(count).toBeGreaterThanOrEqual(3);
    expect(count).toBeLessThanOrEqual(6);
    await receiver.released();
  });

  test("that is old is not let go before the answer that is under way", async () => {
    const receiver = await startReceiver({
      answer: ({ socket }) => void setTimeout(() => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), 200),
    });
    const [outcome] = await sendInTurn(startSender({}, { maxConnectionAgeMs: 50 }), receiver.url, 1);
    expect(outcome).toMatchObject({ kind: "answered", statusCode: 200 });
    await receiver.released();
  });
});

describe("what this process lacks", () => {
  test("no file descriptor for the connection: nothing was started", async () => {
    const receiver = await startReceiver(zoo.wellBehaved);
    const sender = startSender();
    const release = exhaustDescriptors();
    const sent = sendInTurn(sender, receiver.url, 1).finally(release);
    expect(await sent).toEqual([{ kind: "not_started", code: "EMFILE" }]);
    expect(await sendInTurn(sender, receiver.url, 1)).toMatchObject([{ kind: "answered", statusCode: 200 }]);
  });

  test.each([
    ["a name server's", { dnsServers: ["127.0.0.1:53"] }, "http://crm.example.com/"],
    ["the system's look-up of an allowed host", { allow: ["localhost"] }, "http://localhost:9/"],
  ])("no file descriptor for %s socket: the name is not to blame", async (_, config, url) => {
    const sender = startSender(config);
    const release = exhaustDescriptors();
    expect(await sendInTurn(sender, url, 1).finally(release)).toEqual([{ kind: "not_started", code: "EMFILE" }]);
  });

  test("no turn for a look-up: the name was not asked for", { timeout: 30_000 }, async () => {
    const server = await startNameServer(() => "silence");
    const sender = startSender({ dnsServers: [server.address] });
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, index) => sendInTurn(sender, `http://${index}.silent.example/`, 1, 20_000)),
    );
    const codes = outcomes.flat().map((outcome) => (outcome.kind === "answered" ? "answered" : outcome.code));
    expect(codes.filter((code) => code === "dns")).not.toEqual([]);
    expect(codes.filter((code) => code === "EBUSY")).not.toEqual([]);
    expect(new Set(codes)).toEqual(new Set(["dns", "EBUSY"]));
    expect(new Set(server.asked).size).toBe(codes.filter((code) => code === "dns").length);
  });
});

describe("a look-up that ran out", () => {
  test.each([
    ["before the exchange", 20_000],
    ["with the exchange", 300],
  ])("is a dns failure: %s", async (_, timeoutMs) => {
    const server = await startNameServer(() => "silence");
    const [outcome] = await sendInTurn(startSender({ dnsServers: [server.address] }), "http://silent.example/", 1, timeoutMs);
    expect(outcome).toMatchObject({ kind: "failed", code: "dns", statusCode: null });
  });

  test("an address that swallows packets is a timeout, though its name took half of the time", async () => {
    const server = await startNameServer(() => ({ afterMs: 150, answer: ["127.0.0.1"] }));
    const receiver = await startReceiver({});
    const config = { dnsServers: [server.address], ports: [receiver.port] };
    const [outcome] = await sendInTurn(startSender(config), `http://slow.example:${receiver.port}/`, 1, 300);
    expect(outcome).toMatchObject({ kind: "failed", code: "timeout" });
  });
});
