import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { once } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";
import { setDefaultCACertificates, getCACertificates } from "node:tls";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebhookAddressGuard } from "../../../src/adapters/webhook/address-guard.ts";
import type { AddressGuardConfig } from "../../../src/adapters/webhook/address-guard.ts";
import { createWebhookSender } from "../../../src/adapters/webhook/sender.ts";
import type { WebhookSender } from "../../../src/ports/webhook-sender.ts";
import {
  brokenChunks,
  invalidLengths,
  malformedRests,
  refusedAnswers,
  takenAnswers,
  takenAtTheEnd,
} from "../../harness/receivers/odd-answers.ts";
import { startNameServer } from "../../harness/receivers/name-server.ts";
import { ok, startReceiver, zoo } from "../../harness/receivers/receiver-zoo.ts";
import { selfSigned } from "../../harness/receivers/self-signed.ts";

function startSender(
  given: Partial<AddressGuardConfig> & { readonly connectTimeoutMs?: number; readonly maxOrigins?: number } = {},
): WebhookSender {
  const { connectTimeoutMs = 5000, maxOrigins = 1000, ...config } = given;
  const guard = new WebhookAddressGuard({
    allow: ["127.0.0.1/32"],
    allowHttp: true,
    ports: [443, 80],
    dnsServers: [],
    publicUrl: null,
    ownPorts: () => [],
    ...config,
  });
  const sender = createWebhookSender(guard, { connectTimeoutMs, maxOrigins });
  onTestFinished(() => sender.close());
  return sender;
}

const body = '{"type":"call.success","naïve":"日本語 \u2028"}';

function requestTo(url: string, timeoutMs = 5000) {
  return {
    url,
    method: "POST" as const,
    headers: { "content-type": "application/json", "webhook-id": "evt_1", "x-Api-Key": "k" },
    body,
    timeoutMs,
  };
}

function trust(certificate: string): void {
  const before = getCACertificates("default");
  setDefaultCACertificates([...before, certificate]);
  onTestFinished(() => setDefaultCACertificates(before));
}

/** undici gives a connection back a turn of the loop after its answer. */
async function settledSend(sender: WebhookSender, url: string): Promise<void> {
  await sender.send(requestTo(url));
  await nextTurn();
  await nextTurn();
}

type Expected = { readonly code: string; readonly statusCode?: number | null } | { readonly status: number; readonly excerpt?: string };

const animals: Record<Exclude<keyof typeof zoo, "silent" | "slowHead" | "drippingBody" | "interimForEver">, Expected> = {
  wellBehaved: { status: 200, excerpt: "ok" },
  noContent: { status: 204, excerpt: "" },
  chunked: { status: 200, excerpt: "half and half" },
  untilClose: { status: 200, excerpt: "until the end" },
  earlyHints: { status: 200, excerpt: "ok" },
  continues: { status: 200, excerpt: "ok" },
  switches: { code: "protocol" },
  redirect: { status: 302 },
  busy: { status: 429 },
  endlessBody: { status: 200, excerpt: "x".repeat(1024) },
  hugeLength: { status: 500, excerpt: "y".repeat(1024) },
  hugeHead: { code: "protocol" },
  endlessHead: { code: "protocol" },
  garbage: { code: "protocol" },
  wrongProtocol: { code: "protocol" },
  closesBeforeAnswer: { code: "reset" },
  resetsBeforeAnswer: { code: "reset" },
  closesAtOnce: { code: "reset" },
  brokenHead: { code: "reset" },
  brokenBody: { code: "reset", statusCode: 200 },
  brokenChunks: { code: "reset", statusCode: 200 },
  moreThanSaid: { status: 200, excerpt: "ok" },
  twoLengths: { code: "protocol", statusCode: 200 },
};

describe("what a receiver does", () => {
  test.each(Object.entries(animals))("%s", async (animal, expected) => {
    const receiver = await startReceiver(zoo[animal as keyof typeof animals]);
    const sender = startSender();
    const { outcome, durationMs } = await sender.send(requestTo(receiver.url));
    if ("status" in expected) {
      expect(outcome).toMatchObject({ kind: "answered", statusCode: expected.status });
      if (expected.excerpt !== undefined) expect(outcome).toMatchObject({ excerpt: expected.excerpt });
    } else expect(outcome).toMatchObject({ kind: "failed", permanent: false, statusCode: null, ...expected });
    expect(durationMs).toBeLessThan(4000);
    expect(receiver.connectionCount()).toBe(1);
    await sender.close();
    await receiver.released();
  });

  test.each([
    ["silent", null],
    ["slowHead", null],
    ["interimForEver", null],
    ["drippingBody", 200],
  ] as const)("%s runs out of time, and its socket is released", async (animal, statusCode) => {
    const receiver = await startReceiver(zoo[animal]);
    const { outcome, durationMs } = await startSender().send(requestTo(receiver.url, 500));
    expect(outcome).toMatchObject({ kind: "failed", code: "timeout", statusCode });
    expect(durationMs).toBeGreaterThanOrEqual(499);
    expect(durationMs).toBeLessThan(1500);
    await receiver.released();
  });

  test("an answer cut at 64 KiB releases its socket though the sender goes on", async () => {
    const receiver = await startReceiver(zoo.endlessBody);
    await startSender().send(requestTo(receiver.url));
    await receiver.released();
  });

  test("an answer of exactly 64 KiB keeps the connection", async () => {
    const big = `HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n${"z".repeat(65_536)}`;
    const receiver = await startReceiver({ answer: ({ socket }) => socket.write(big) });
    const sender = startSender();
    for (let i = 0; i < 2; i++) await settledSend(sender, receiver.url);
    expect(receiver.connectionCount()).toBe(1);
  });

  test("a port without a listener", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    const { outcome } = await startSender().send(requestTo(`http://127.0.0.1:${port}/secret-path?token=1`));
    expect(outcome).toMatchObject({ kind: "failed", code: "connect", detail: "no connection (ECONNREFUSED)" });
  });

  test("the first of several Retry-After headers is returned verbatim", async () => {
    const receiver = await startReceiver(zoo.busy);
    expect((await startSender().send(requestTo(receiver.url))).outcome).toMatchObject({ retryAfter: "17" });
  });

  test.each([
    ["a character cut in half", Buffer.from("é".repeat(600)), "é".repeat(512)],
    ["a cut inside a character", Buffer.from(`a${"é".repeat(600)}`), `a${"é".repeat(511)}`],
    ["bytes that are no text", Buffer.alloc(2000, 0xff), "\ufffd".repeat(341)],
    ["zero bytes", Buffer.from("a\u0000b"), "a\ufffdb"],
  ])("the excerpt of %s is at most 1 KiB of valid text", async (_, answer, excerpt) => {
    const receiver = await startReceiver({
      answer: ({ socket }) =>
        socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${answer.length}\r\n\r\n`), answer])),
    });
    expect((await startSender().send(requestTo(receiver.url))).outcome).toMatchObject({ excerpt });
  });
});

/** Starts a receiver that writes `raw` (latin1) and then ends the connection or keeps it open. */
function answering(raw: string, then: "stay" | "end" = "stay") {
  const bytes = Buffer.from(raw, "latin1");
  return startReceiver({ answer: ({ socket }) => (then === "end" ? socket.end(bytes) : socket.write(bytes)) });
}

describe("an odd answer", () => {
  test.each(Object.entries(takenAnswers("ok")))("is taken: %s", async (_name, raw) => {
    const receiver = await answering(raw);
    const { outcome } = await startSender().send(requestTo(receiver.url));
    expect(outcome).toEqual({ kind: "answered", statusCode: 200, retryAfter: null, excerpt: "ok" });
  });

  test.each(Object.entries(takenAtTheEnd("ok")))("is taken at the end of the connection: %s", async (_name, raw) => {
    const receiver = await answering(raw, "end");
    const { outcome } = await startSender().send(requestTo(receiver.url));
    expect(outcome).toEqual({ kind: "answered", statusCode: 200, retryAfter: null, excerpt: "ok" });
  });

  test("in pieces is taken", async () => {
    const raw = `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\nx: y\n\n${ok}`;
    const receiver = await startReceiver({
      answer: ({ socket }) => {
        socket.setNoDelay(true);
        const writeFrom = (at: number) => {
          if (at < raw.length && !socket.destroyed) socket.write(raw.charAt(at), () => setImmediate(writeFrom, at + 1));
        };
        writeFrom(0);
      },
    });
    expect((await startSender().send(requestTo(receiver.url))).outcome).toMatchObject({ kind: "answered", excerpt: "ok" });
  });

  test.each(Object.entries(refusedAnswers))("is refused: %s", async (_name, { raw, detail, rule }) => {
    for (const then of ["stay", "end"] as const) {
      const receiver = await answering(raw, then);
      const { outcome } = await startSender().send(requestTo(receiver.url));
      expect(outcome, rule).toMatchObject({ kind: "failed", code: "protocol", statusCode: null, detail: expect.stringMatching(detail) });
      await receiver.released();
    }
  });

  test.each(Object.entries({ ...invalidLengths, ...brokenChunks }))(
    "whose body cannot be read is a failure of its status: %s",
    async (_name, { raw, detail, rule }) => {
      const receiver = await answering(raw);
      const { outcome } = await startSender().send(requestTo(receiver.url));
      expect(outcome, rule).toMatchObject({ kind: "failed", code: "protocol", statusCode: 200, detail: expect.stringMatching(detail) });
    },
  );

  describe.each(Object.entries(malformedRests))("whose status is followed by %s", (_name, rest) => {
    test.each(["stay", "end"] as const)("is obeyed (%s)", async (then) => {
      // At once, because each waits for the deadline.
      const exchanges = [400, 302, 410, 429, 503, 999].map(async (statusCode) => {
        const receiver = await answering(`HTTP/1.1 ${statusCode} X\r\nretry-after: 17\r\n${rest}`, then);
        const { outcome } = await startSender().send(requestTo(receiver.url, then === "stay" ? 300 : 5000));
        expect(outcome).toMatchObject({ kind: "answered", statusCode, retryAfter: "17" });
        await receiver.released();
      });
      await Promise.all(exchanges);
    });
  });

  test("that was malformed ends the connection, which carries nothing more", async () => {
    const raw = "HTTP/1.1 200 OK\r\nx y: z\r\ncontent-length: 2\r\n\r\nok";
    const receiver = await answering(raw);
    const sender = startSender();
    for (let i = 0; i < 3; i++) expect((await sender.send(requestTo(receiver.url))).outcome).toMatchObject({ statusCode: 200 });
    expect(receiver.requests.map(({ number }) => number)).toEqual([1, 1, 1]);
    await receiver.released();
  });

  test.each([
    ["another answer", ok],
    ["half another answer", "HTTP/1.1 200 OK\r\ncontent-le"],
    ["an empty line", "\r\n"],
    ["one byte", "H"],
  ])("with %s behind it: no other webhook takes those bytes for its own", async (_name, behind) => {
    const receiver = await startReceiver({
      answer: ({ socket, connection }) =>
        socket.write(connection === 1 ? `${ok}${behind}` : "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"),
    });
    const sender = startSender();
    expect((await sender.send({ ...requestTo(receiver.url), accountId: "acc_1" })).outcome).toMatchObject({ statusCode: 200 });
    expect((await sender.send({ ...requestTo(receiver.url), accountId: "acc_2" })).outcome).toMatchObject({ statusCode: 500 });
    expect(receiver.connectionCount()).toBe(2);
  });

  test("with bytes behind it that come later: the idle connection ends", async () => {
    const socket = Promise.withResolvers<Socket>();
    const receiver = await startReceiver({
      answer: (request) => {
        request.socket.write(ok);
        socket.resolve(request.socket);
      },
    });
    const sender = startSender();
    await settledSend(sender, receiver.url);
    (await socket.promise).write(ok);
    await receiver.released();
    expect((await sender.send(requestTo(receiver.url))).outcome).toMatchObject({ statusCode: 200 });
    expect(receiver.connectionCount()).toBe(2);
  });
});

describe("an excerpt of a compressed answer is text", () => {
  const text = `{"error":"${"naïve ".repeat(300)}"}`;
  const start = Buffer.from(text).subarray(0, 1024).toString();
  test.each([
    ["gzip", gzipSync(text)],
    ["X-GZIP", gzipSync(text)],
    ["deflate", deflateSync(text)],
    ["deflate", deflateRawSync(text)],
    ["br", brotliCompressSync(text)],
    ["identity, br, gzip", gzipSync(brotliCompressSync(text))],
    ["gzip", Buffer.from(text)],
    ["utf-8", Buffer.from(text)],
    ["gzip", gzipSync(text + "x".repeat(50_000_000))],
    ["br", brotliCompressSync(text + "x".repeat(1_000_000))],
  ])("%s", async (coding, body) => {
    const head = `HTTP/1.1 500 No\r\ncontent-encoding: ${coding}\r\ncontent-length: ${body.length}\r\n\r\n`;
    const receiver = await startReceiver({ answer: ({ socket }) => socket.write(Buffer.concat([Buffer.from(head), body])) });
    expect((await startSender().send(requestTo(receiver.url))).outcome).toMatchObject({
      kind: "answered",
      statusCode: 500,
      excerpt: start,
    });
  });

  test("also where no more than half of it came, behind a transfer coding", async () => {
    const half = gzipSync(randomBytes(3000).toString("hex")).subarray(0, 2000);
    const head = "HTTP/1.1 500 No\r\ntransfer-encoding: gzip, chunked\r\n\r\n7d0\r\n";
    const receiver = await startReceiver({ answer: ({ socket }) => socket.end(Buffer.concat([Buffer.from(head), half])) });
    const { outcome } = await startSender().send(requestTo(receiver.url));
    expect(outcome).toMatchObject({ kind: "answered", excerpt: expect.stringMatching(/^[0-9a-f]{1024}$/) });
  });
});

describe("what is sent", () => {
  test("the body byte for byte, with its length and no further header", async () => {
    const receiver = await startReceiver(zoo.wellBehaved);
    await startSender().send(requestTo(`${receiver.url}/a%20b?q=1&r=%2F`));
    const [request] = receiver.requests;
    expect(request?.body).toBe(body);
    expect(request?.head.split("\r\n")).toEqual([
      "POST /hook/a%20b?q=1&r=%2F HTTP/1.1",
      `host: 127.0.0.1:${receiver.port}`,
      "connection: keep-alive",
      "content-type: application/json",
      "webhook-id: evt_1",
      "x-Api-Key: k",
      `content-length: ${Buffer.byteLength(body)}`,
    ]);
  });

  test("a connection is used again", async () => {
    const receiver = await startReceiver(zoo.wellBehaved);
    const sender = startSender();
    for (let i = 0; i < 5; i++) await settledSend(sender, receiver.url);
    expect(receiver.connectionCount()).toBe(1);
  });

  test("more at once than a pool has connections: none waits for another", async () => {
    let arrived = 0;
    const all = Promise.withResolvers<void>();
    const receiver = await startReceiver({
      answer: ({ socket }) => {
        if (++arrived === 80) all.resolve();
        void all.promise.then(() => socket.write(ok));
      },
    });
    const sender = startSender();
    const exchanges = await Promise.all(Array.from({ length: 80 }, () => sender.send(requestTo(receiver.url))));
    expect(exchanges.every(({ outcome }) => outcome.kind === "answered")).toBe(true);
  });

  test("more origins than pools: the oldest idle one gives way, and none is refused while all are busy", async () => {
    const held = Promise.withResolvers<void>();
    const receivers = await Promise.all(
      Array.from({ length: 4 }, () => startReceiver({ answer: ({ socket }) => void held.promise.then(() => socket.write(ok)) })),
    );
    const sender = startSender({ maxOrigins: 2 });
    const exchanges = Promise.all(receivers.map(({ url }) => sender.send(requestTo(url))));
    held.resolve();
    expect((await exchanges).map(({ outcome }) => outcome.kind)).toEqual(Array(4).fill("answered"));
    const [, , third, fourth] = receivers;
    await Promise.all([third?.released(), fourth?.released()]);
  });
});

describe("a reset on a connection that is used again", () => {
  test("before the first byte of an answer: once more, on a fresh connection, as one attempt", async () => {
    const receiver = await startReceiver({
      answer: ({ socket, number }) => (number === 1 ? socket.write(ok) : socket.resetAndDestroy()),
    });
    const sender = startSender();
    await settledSend(sender, receiver.url);
    expect((await sender.send(requestTo(receiver.url))).outcome).toMatchObject({ kind: "answered", statusCode: 200 });
    expect(receiver.requests.map(({ connection, number }) => [connection, number])).toEqual([
      [1, 1],
      [1, 2],
      [2, 1],
    ]);
  });

  test("the fresh one breaks too: a failure, and no third", async () => {
    let answered = 0;
    const receiver = await startReceiver({ answer: ({ socket }) => (answered++ === 0 ? socket.write(ok) : socket.resetAndDestroy()) });
    const sender = startSender();
    await settledSend(sender, receiver.url);
    expect((await sender.send(requestTo(receiver.url))).outcome).toMatchObject({ kind: "failed", code: "reset" });
    expect(receiver.requests).toHaveLength(3);
  });

  test("after the first byte: a failure, for the receiver has it", async () => {
    const receiver = await startReceiver({
      answer: ({ socket, number }) => (number === 1 ? socket.write(ok) : socket.write("HTTP/1.1 2", () => socket.resetAndDestroy())),
    });
    const sender = startSender();
    await settledSend(sender, receiver.url);
    expect((await sender.send(requestTo(receiver.url))).outcome).toMatchObject({ kind: "failed", code: "reset" });
    expect(receiver.requests).toHaveLength(2);
  });

  test("a fresh connection that breaks inside the head is no second try", async () => {
    const receiver = await startReceiver({ answer: ({ socket }) => socket.write("HTTP/1.1 2", () => socket.resetAndDestroy()) });
    expect((await startSender().send(requestTo(receiver.url))).outcome).toMatchObject({ kind: "failed", code: "reset" });
    expect(receiver.requests).toHaveLength(1);
  });

  test("within one deadline", async () => {
    const receiver = await startReceiver({
      answer: ({ socket, connection, number }) => {
        if (connection > 1) return;
        if (number === 1) socket.write(ok);
        else setTimeout(() => socket.resetAndDestroy(), 200);
      },
    });
    const sender = startSender();
    await settledSend(sender, receiver.url);
    const { outcome, durationMs } = await sender.send(requestTo(receiver.url, 400));
    expect(outcome).toMatchObject({ kind: "failed", code: "timeout" });
    expect(durationMs).toBeLessThan(590);
  });
});

test.each([
  ["http", undefined],
  ["https", selfSigned("crm.example.com")],
] as const)("a receiver that speaks first (%s) is no receiver of HTTP", async (scheme, tls) => {
  if (tls !== undefined) trust(tls.cert);
  const server = await startNameServer(() => ["127.0.0.1"]);
  const receiver = await startReceiver({
    greet: (socket) => socket.write("220 mail.example.com ESMTP\r\n"),
    ...(tls === undefined ? {} : { tls }),
  });
  const sender = startSender({ dnsServers: [server.address], ports: [receiver.port] });
  const { outcome } = await sender.send(requestTo(`${scheme}://crm.example.com:${receiver.port}/`));
  expect(outcome).toMatchObject({ kind: "failed", code: "protocol" });
  expect(receiver.connectionCount()).toBe(1);
});

test.each(["resetAndDestroy", "end", "destroy"] as const)(
  "of a thousand webhooks to a receiver that answers 200 and is gone (%s) none is a failure",
  async (leave) => {
    // Some connections are gone at once, others when the next request is about to be written.
    const receiver = await startReceiver({
      answer: ({ socket, connection }) => socket.write(ok, () => setTimeout(() => socket[leave](), connection % 3)),
    });
    const sender = startSender();
    const codes = new Map<string, number>();
    let sent = 0;
    const sendOn = async (): Promise<void> => {
      while (sent++ < 1000) {
        const { outcome } = await sender.send(requestTo(receiver.url));
        const code = outcome.kind === "answered" ? String(outcome.statusCode) : outcome.kind === "failed" ? outcome.detail : outcome.code;
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: 64 }, sendOn));
    expect(Object.fromEntries(codes)).toEqual({ 200: 1000 });
  },
);

describe("TLS", () => {
  test("an untrusted certificate", async () => {
    const receiver = await startReceiver({ ...zoo.wellBehaved, tls: selfSigned("localhost") });
    const { outcome } = await startSender().send(requestTo(`https://127.0.0.1:${receiver.port}/hook`));
    expect(outcome).toMatchObject({ kind: "failed", code: "tls", detail: "no trusted TLS connection (DEPTH_ZERO_SELF_SIGNED_CERT)" });
    expect(receiver.requests).toHaveLength(0);
  });

  test("a port that speaks plain HTTP", async () => {
    const receiver = await startReceiver({ greet: (socket) => socket.on("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")) });
    const { outcome } = await startSender().send(requestTo(`https://127.0.0.1:${receiver.port}/hook`));
    expect(outcome).toMatchObject({ kind: "failed", code: "tls" });
  });

  test.each([
    ["is closed", (socket: Socket) => socket.end(), /closed during the TLS handshake/],
    ["is reset", (socket: Socket) => socket.resetAndDestroy(), /closed during the TLS handshake/],
    ["gets an alert", (socket: Socket) => socket.write(Buffer.from("15030100020228", "hex")), /no trusted TLS connection \(ERR_SSL/],
    ["gets plain HTTP", (socket: Socket) => socket.write(ok), /no trusted TLS connection \(ERR_SSL/],
    ["is closed behind half a record", (socket: Socket) => socket.end(Buffer.from("160303", "hex")), /closed during the TLS handshake/],
  ] as const)("a handshake that %s", async (_name, act, detail) => {
    const receiver = await startReceiver({ greet: (socket) => socket.once("data", () => act(socket)) });
    const { outcome } = await startSender().send(requestTo(`https://127.0.0.1:${receiver.port}/hook`));
    expect(outcome).toMatchObject({ kind: "failed", code: "tls", detail: expect.stringMatching(detail) });
  });

  test("a connection that is closed before the handshake begins", async () => {
    const receiver = await startReceiver({ greet: (socket) => socket.resetAndDestroy() });
    const { outcome } = await startSender().send(requestTo(`https://127.0.0.1:${receiver.port}/hook`));
    expect(outcome).toMatchObject({ kind: "failed", code: "tls" });
  });

  test("a handshake that never ends says so when its time is over", async () => {
    const receiver = await startReceiver({ greet: () => undefined });
    const { outcome } = await startSender().send(requestTo(`https://127.0.0.1:${receiver.port}/hook`, 300));
    expect(outcome).toMatchObject({ kind: "failed", code: "timeout", detail: "no end of the TLS handshake within 300 ms" });
  });

  test("a handshake that never ends, and the sender is closed: the socket is released at once", async () => {
    const greeted = Promise.withResolvers<void>();
    const receiver = await startReceiver({ greet: () => greeted.resolve() });
    const sender = startSender();
    const exchange = sender.send(requestTo(`https://127.0.0.1:${receiver.port}/hook`));
    await greeted.promise;
    await sender.close();
    expect((await exchange).outcome).toMatchObject({ kind: "failed", code: "reset" });
    await receiver.released();
  });

  test("a name is dialled where the name server says, and SNI, certificate and Host are the name's", async () => {
    const identity = selfSigned("crm.example.com");
    trust(identity.cert);
    const server = await startNameServer(() => ["127.0.0.1"]);
    const receiver = await startReceiver({ ...zoo.wellBehaved, tls: identity });
    const sender = startSender({ dnsServers: [server.address], ports: [receiver.port] });
    expect((await sender.send(requestTo(`https://crm.example.com:${receiver.port}/`))).outcome).toMatchObject({ statusCode: 200 });
    expect(receiver.requests[0]?.head).toContain(`\r\nhost: crm.example.com:${receiver.port}\r\n`);
    expect((await sender.send(requestTo(`https://other.example.com:${receiver.port}/`))).outcome).toMatchObject({
      code: "tls",
      detail: "no trusted TLS connection (ERR_TLS_CERT_ALTNAME_INVALID)",
    });
  });
});

test("names are asked on behalf of an account: one whose name servers are silent holds up itself alone", async () => {
  const server = await startNameServer((name) => (name.startsWith("dead") ? "silence" : ["127.0.0.1"]));
  const receiver = await startReceiver(zoo.wellBehaved);
  const sender = startSender({ dnsServers: [server.address], ports: [receiver.port] });
  let given = 0;
  const send = (accountId: string, name: string) =>
    sender.send({ ...requestTo(`http://${name}.example.com:${receiver.port}/`, 1500), accountId }).finally(() => (given += 1));
  const dead = Array.from({ length: 6 }, (_, n) => send("acc_1", `dead${n}`));
  const own = send("acc_1", "own");
  expect((await send("acc_2", "other")).outcome).toMatchObject({ statusCode: 200 });
  expect(given).toBe(1);
  expect(receiver.requests).toHaveLength(1);
  for (const { outcome } of await Promise.all([...dead, own])) expect(outcome).toMatchObject({ kind: "failed", code: "dns" });
});

describe("the end", () => {
  test("aborts what is on the wire, releases every socket and sends nothing more", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const receiver = await startReceiver({ answer: () => resolve() });
    const sender = startSender();
    const exchange = sender.send(requestTo(receiver.url));
    await promise;
    await sender.close();
    expect((await exchange).outcome).toMatchObject({ kind: "failed", code: "reset" });
    await receiver.released();
    expect((await sender.send(requestTo(receiver.url))).outcome).toMatchObject({ kind: "failed", detail: "the sender is closed" });
    expect(receiver.connectionCount()).toBe(1);
  });
});

describe("an answer that repeats the request", () => {
  const secretValues = ["Bearer s3cret-token-of-a-gateway", "the value of x-gate"];
  const repeated = (start: number) => `${"x".repeat(start)}${secretValues.join()}${"y".repeat(100)}`;
  test.each([
    ["plain", 0, (text: string) => Buffer.from(text), ""],
    ["cut by the end of the excerpt", 1010, (text: string) => Buffer.from(text), ""],
    ["compressed", 0, (text: string) => gzipSync(text), "content-encoding: gzip\r\n"],
    ["compressed and cut", 1010, (text: string) => gzipSync(text), "content-encoding: gzip\r\n"],
  ])("shows no secret value of it, %s", async (_name, start, encode, head) => {
    const sent = encode(repeated(start));
    const beginning = Buffer.from(`HTTP/1.1 200 OK\r\n${head}content-length: ${sent.length}\r\n\r\n`);
    const receiver = await startReceiver({ answer: ({ socket }) => socket.write(Buffer.concat([beginning, sent])) });
    const { outcome } = await startSender().send({ ...requestTo(receiver.url), secretValues });
    expect(outcome).toMatchObject({ kind: "answered", excerpt: expect.stringContaining("[header val") });
    expect(JSON.stringify(outcome)).not.toMatch(/s3cret|the value/);
  });
});
