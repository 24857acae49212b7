import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { afterEach, describe, expect, test } from "vitest";
import { Agent, request } from "undici";
import { StartupError, StoreUnavailableError } from "../../src/domain/errors.ts";
import { createMetricsApp } from "../../src/http/routes/metrics.ts";
import { listen } from "../../src/http/server/server.ts";
import type { Listening, ServerLimits } from "../../src/http/server/server.ts";
import { apiKey, createTestApi } from "./test-api.ts";
import type { Problem } from "../harness/service/client.ts";
import { watchView } from "./views.ts";
import type { WaitEnd } from "../../src/ports/use-cases/live-state.ts";
import { answerWaiting } from "../../src/http/server/starting-app.ts";

const host = "127.0.0.1";
const open: Listening[] = [];

async function start(app: Parameters<typeof listen>[0], limits: Partial<ServerLimits> = {}): Promise<Listening> {
  const listening = await listen(app, { host, port: 0 }, limits);
  open.push(listening);
  return listening;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((listening) => listening.close(0)));
});

/** A watch that is waited for until `change`; `signals` are those of the waiters. */
function waitingApi() {
  const changed = Promise.withResolvers<WaitEnd>();
  const signals: AbortSignal[] = [];
  const subscribed = Promise.withResolvers<AbortSignal>();
  const api = createTestApi({
    store: { getWatch: async () => watchView() },
    live: {
      changed: (_watchId, _timeoutMs, signal) => {
        signals.push(signal);
        subscribed.resolve(signal);
        signal.addEventListener("abort", () => changed.resolve("aborted"));
        return changed.promise;
      },
    },
  });
  return { ...api, signals, subscribed: subscribed.promise, change: () => changed.resolve("event") };
}

async function connectTo({ port }: Listening): Promise<Socket> {
  const socket = connect(port, host);
  await once(socket, "connect");
  return socket;
}

async function readAll(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

const waitRequest = `GET /v1/watches/wch_1?wait=30 HTTP/1.1\r\nHost: a\r\nX-API-Key: ${apiKey}\r\n\r\n`;

describe("what cannot be read", () => {
  test.each([
    ["no HTTP", "hello\r\n\r\n", 400],
    ["a Host that is no host", "GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
    ["headers without end", `GET /healthz HTTP/1.1\r\nHost: a\r\nx: ${"y".repeat(20_000)}\r\n\r\n`, 431],
    ["a URL without end", `GET /healthz?${"y".repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
    ["no Host", "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400],
    ["an unknown method", "FOO /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    ["two Host fields", "GET /healthz HTTP/1.1\r\nHost: a\r\nhost: a\r\nConnection: close\r\n\r\n", 400],
    ["two Host fields of HTTP/1.0", "GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["an IPv6 literal without an end", "GET /healthz HTTP/1.1\r\nHost: [::1\r\nConnection: close\r\n\r\n", 400],
    ["a Host with user info", "GET /healthz HTTP/1.1\r\nHost: a@[::1]:\r\nConnection: close\r\n\r\n", 400],
    ["no resource", "GET * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400],
    ["the options of the server", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405],
    ["an expectation", "GET /healthz HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nConnection: close\r\n\r\n", 417],
    ["a tunnel", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405],
    ["chunks that are none", "POST /v1/watches HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400],
    ["two lengths", "POST /v1/watches HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
  ])("%s is a problem with a request id", async (_name, text, status) => {
    const socket = await connectTo(await start(createTestApi().app));
    socket.end(text);
    const answer = await readAll(socket);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toMatch(/\r\nx-request-id: \S+\r\n/i);
    const body = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)) as Problem;
    expect(answer).toContain(`\r\nx-request-id: ${body.request_id}\r\n`);
    expect(answer).toMatch(/\r\ncontent-type: application\/problem\+json\r\n/);
    expect(body).toMatchObject({ status, type: expect.stringMatching(/^urn:ringback:problem:[a-z-]+$/) });
    expect(/\r\nallow: /.test(answer)).toBe(status === 405);
  });

  test.each([
    ["no Host", "GET /healthz HTTP/1.1\r\nConnection: close\r\n"],
    ["an expectation", "GET /healthz HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nConnection: close\r\n"],
  ])("%s is answered with the client's own request id", async (_name, text) => {
    const socket = await connectTo(await start(createTestApi().app));
    socket.end(`${text}X-Request-Id: job-7\r\n\r\n`);
    const answer = await readAll(socket);
    expect(answer).toMatch(/\r\nx-request-id: job-7\r\n/i);
    expect(answer).toContain('"request_id":"job-7"');
  });

  test("the client's own request id is answered while the database is waited for", async () => {
    const answer = answerWaiting(new Request("http://a/v1/me", { headers: { "x-request-id": "job-7" } }));
    expect([answer.status, answer.headers.get("x-request-id"), ((await answer.json()) as Problem).request_id]).toEqual([
      503,
      "job-7",
      "job-7",
    ]);
  });

  test.each([
    "[::1]",
    "[::1]:8080",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]:8080",
    "[2001:DB8::1.2.3.4]:443",
    "[::1]:",
    "a.example:",
    "A.Example:",
  ])("the Host %s is taken", async (name) => {
    const socket = await connectTo(await start(createTestApi().app));
    socket.end(`GET /healthz HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`);
    expect(await readAll(socket)).toMatch(/^HTTP\/1.1 200 /);
  });

  test.each([
    ["/healthz/", 200],
    ["/healthz?x=1", 200],
    ["/readyz/?x=1", 503],
  ])("%s is answered while the database is waited for: %i", async (path, status) => {
    const answer = answerWaiting(new Request(`http://a${path}`));
    expect(answer.status).toBe(status);
    if (status === 503) expect(await answer.json()).toMatchObject({ type: "urn:ringback:problem:not-ready" });
  });

  test("HTTP/1.0 needs no Host", async () => {
    const socket = await connectTo(await start(createTestApi().app));
    socket.end("GET /healthz HTTP/1.0\r\n\r\n");
    expect(await readAll(socket)).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe("clients that take their time", () => {
  const soon = { headersTimeoutMs: 100, requestTimeoutMs: 200, checkEveryMs: 20 };

  test.each([
    ["headers", "GET /healthz HTTP/1.1\r\nHost: a\r\n"],
    [
      "a body",
      `POST /v1/watches HTTP/1.1\r\nHost: a\r\nX-API-Key: ${apiKey}\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{`,
    ],
  ])("%s that never end are 408, and the connection is closed", async (_name, text) => {
    const socket = await connectTo(await start(createTestApi().app, soon));
    socket.write(text);
    const answer = await readAll(socket);
    expect(answer).toMatch(/^HTTP\/1.1 408 [^]*\r\nconnection: close\r\n[^]*"urn:ringback:problem:request-timeout"/);
  });

  test("nothing at all is closed without a word", async () => {
    const socket = await connectTo(await start(createTestApi().app, { ...soon, stallTimeoutMs: 200 }));
    await readAll(socket);
  });

  test("an answer that is not read ends the connection, and what was held for it", async () => {
    const page = { data: Array.from({ length: 200 }, () => watchView({ metadata: { a: "x".repeat(2000) } })), nextCursor: null };
    const api = createTestApi({ store: { listWatches: async () => page } });
    const listening = await start(api.app, { stallTimeoutMs: 200 });
    const socket = await connectTo(listening);
    socket.pause();
    socket.on("error", () => {});
    const request = `GET /v1/watches HTTP/1.1\r\nHost: a\r\nX-API-Key: ${apiKey}\r\n\r\n`;
    for (let n = 0; n < 50; n++) socket.write(request);
    await expect.poll(() => listening.connections(), { timeout: 10_000 }).toBe(0);
    expect(api.answered.length).toBeLessThan(51);
  });
});

test("more connections than the limit are closed, and room is made again", async () => {
  const listening = await start(createTestApi().app, { maxConnections: 2 });
  const kept = [await connectTo(listening), await connectTo(listening)];
  await expect.poll(() => listening.connections()).toBe(2);
  const tooMany = await connectTo(listening);
  expect(await readAll(tooMany)).toBe("");
  kept[0]?.destroy();
  await expect.poll(() => listening.connections()).toBe(1);
  const next = await connectTo(listening);
  next.end("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  expect(await readAll(next)).toMatch(/^HTTP\/1.1 200 /);
  kept[1]?.destroy();
});

const post = (path: string, ...lines: readonly string[]) =>
  [`POST ${path} HTTP/1.1`, "Host: a", "Content-Type: application/json", ...lines, "", ""].join("\r\n");
const [withKey, inChunks] = [`X-API-Key: ${apiKey}`, "Transfer-Encoding: chunked"];
const chunkOf = (bytes: number) => `${bytes.toString(16)}\r\n${"[".repeat(bytes)}\r\n`;

/** Sends for as long as the server reads. Returns what was answered and how many bytes the socket took. */
async function flood(listening: Listening, head: string, piece: string): Promise<{ answer: string; bytes: number }> {
  const socket = await connectTo(listening);
  socket.on("error", () => {});
  let answer = "";
  socket.on("data", (chunk) => (answer += String(chunk)));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(head);
  while (!socket.destroyed && socket.writable)
    if (!socket.write(piece)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), closed]);
  socket.destroy();
  return { answer, bytes: socket.bytesWritten };
}

describe("large bodies", () => {
  const headers = { "x-api-key": apiKey, "content-type": "application/json" };
  const large = Buffer.alloc(8 * 1024 * 1024, "[");

  test.each([
    ["announced", large],
    [
      "in chunks",
      async function* () {
        for (let sent = 0; sent < large.length; sent += 65_536) yield large.subarray(sent, sent + 65_536);
      },
    ],
  ])("%s: the answer arrives although the body was not read", async (_name, body) => {
    const { port } = await start(createTestApi().app);
    for (const path of ["/v1/watches", "/v1/watches/batch"])
      for (let round = 0; round < 5; round++) {
        const options = { method: "POST" as const, headers, body: typeof body === "function" ? Readable.from(body()) : body };
        const response = await request(`http://${host}:${port}${path}`, options);
        expect(response.statusCode).toBe(413);
        await response.body.dump();
      }
  });

  const small = `1\r\n[\r\n`.repeat(2000);
  test.each([
    ["over the limit, in chunks", post("/v1/watches", withKey, inChunks), chunkOf(65_536), 413],
    ["over the limit, in chunks of 100 bytes", post("/v1/watches", withKey, inChunks), chunkOf(100).repeat(600), 413],
    ["over the limit, announced", post("/v1/watches", withKey, "Content-Length: 1000000000"), "[".repeat(65_536), 413],
    ["without a key, in chunks", post("/v1/watches", inChunks), chunkOf(65_536), 401],
    ["without a key, announced", post("/v1/watches", "Content-Length: 1000000000"), "[".repeat(65_536), 401],
    ["without a key, in chunks of one byte", post("/v1/watches", inChunks), small, 401],
    ["to nowhere", post("/nowhere", inChunks), chunkOf(65_536), 404],
    ["for a method that is not allowed", post("/v1/me", withKey, inChunks), chunkOf(65_536), 405],
    ["with an expectation", post("/v1/watches", inChunks, "Expect: miracles"), chunkOf(65_536), 417],
  ])("a body without end, %s: answered at once, and the connection ends soon", async (_name, head, piece, status) => {
    const listening = await start(createTestApi().app);
    const { answer, bytes } = await flood(listening, head, piece);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} [^]*\\r\\nconnection: close\\r\\n`, "i"));
    // The limit (of bytes without the frames of their chunks), the 4 MiB after it, and the buffers of both ends.
    expect(bytes).toBeLessThan(24 * 1024 * 1024);
    await expect.poll(() => listening.connections(), { timeout: 10_000 }).toBe(0);
  });

  test.each([
    ["a key is missing", post("/v1/watches", "Content-Length: 10"), 401],
    ["the length is over the limit", post("/v1/watches", withKey, "Content-Length: 2000000"), 413],
    ["a batch is over the limit", post("/v1/watches/batch", withKey, "Content-Length: 5000000"), 413],
    ["a body is not needed", post("/nowhere", inChunks), 404],
  ])("a body that stops when %s: answered at once, and the connection ends after 2 s", async (_name, head, status) => {
    const listening = await start(createTestApi().app);
    const socket = await connectTo(listening);
    socket.write(`${head}1\r\n`);
    const startedMs = performance.now();
    expect(await readAll(socket)).toMatch(new RegExp(`^HTTP/1.1 ${status} [^]*\\r\\nconnection: close\\r\\n`, "i"));
    await expect.poll(() => listening.connections(), { timeout: 10_000 }).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  test("what follows such a body on the connection is not served", async () => {
    const api = createTestApi();
    const listening = await start(api.app);
    const socket = await connectTo(listening);
    socket.on("error", () => {});
    const answer = readAll(socket);
    socket.write(post("/v1/watches", "Content-Length: 2"));
    await expect.poll(() => api.answered.length).toBe(1);
    socket.write("{}GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(await answer).toMatch(/^HTTP\/1.1 401 /);
    await expect.poll(() => listening.connections()).toBe(0);
    expect(api.answered).toHaveLength(1);
  });

  test.each([
    ["announced", (body: string) => `Content-Length: ${body.length}\r\n\r\n${body}`],
    ["in one chunk", (body: string) => `${inChunks}\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`],
    [
      "in chunks of 10 bytes",
      (body: string) =>
        `${inChunks}\r\n\r\n${body.replaceAll(/.{1,10}/g, (part) => `${part.length.toString(16)}\r\n${part}\r\n`)}0\r\n\r\n`,
    ],
  ])("of the allowed size, %s: the connection is kept", async (_name, framed) => {
    const socket = await connectTo(await start(createTestApi().app));
    const body = `"${"x".repeat(1024 * 1024 - 2)}"`;
    const answered = readAll(socket);
    socket.write(post("/v1/watches", withKey).slice(0, -2) + framed(body));
    socket.write("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    expect(await answered).toMatch(/^HTTP\/1.1 422 [^]*HTTP\/1.1 200 /);
  });

  test("where nothing would be read at all either", async () => {
    const { port } = await start(createTestApi().app);
    for (const [path, status] of [
      ["/nowhere", 404],
      ["/v1/me", 405],
    ] as const) {
      const response = await request(`http://${host}:${port}${path}`, { method: "POST", headers, body: large });
      expect(response.statusCode).toBe(status);
      await response.body.dump();
    }
  });

  test("one that breaks off leaves nothing behind", async () => {
    const api = createTestApi();
    const socket = await connectTo(await start(api.app));
    socket.write(
      `POST /v1/watches HTTP/1.1\r\nHost: a\r\nX-API-Key: ${apiKey}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`,
    );
    socket.destroy();
    await expect.poll(() => api.answered).toEqual([{ route: "/v1/watches", status: 400 }]);
    expect(api.logged.filter(({ level }) => level === "error")).toEqual([]);
  });
});

describe("a client that goes away", () => {
  test("releases its waiter", async () => {
    const { app, subscribed } = waitingApi();
    const socket = await connectTo(await start(app));
    socket.write(waitRequest);
    const signal = await subscribed;
    const aborted = signal.aborted ? Promise.resolve() : once(signal, "abort");
    socket.destroy();
    await aborted;
  });
});

describe("close", () => {
  test("lets what runs finish, then ends at once although the client would keep the connection", async () => {
    const { app, subscribed, change } = waitingApi();
    const listening = await start(app);
    const socket = await connectTo(listening);
    const answer = readAll(socket);
    socket.write(waitRequest);
    await subscribed;
    const closed = listening.close(60_000);
    await expect(connectTo(listening)).rejects.toThrow("ECONNREFUSED");
    change();
    expect(await answer).toMatch(/^HTTP\/1.1 200 [^]*\r\nconnection: close\r\n/i);
    await closed;
  });

  const late = [
    ["without Host", "GET /healthz HTTP/1.1\r\n\r\n", 400],
    ["with an invalid Host", "GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
    ["with an expectation", "GET /healthz HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", 417],
    ["with an expectation and a body", "POST /healthz HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 2\r\n\r\n{}", 417],
    ["that is a tunnel", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405],
    ["that is answered in the same call", "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", 503],
  ] as const;
  test.each(late)("while it runs, a request %s is answered and its connection closed", async (_name, text, status) => {
    const held = Promise.withResolvers<Response>();
    const holding = Promise.withResolvers<null>();
    const listening = await start({
      fetch(request) {
        if (!request.url.endsWith("/held")) return answerWaiting(request);
        holding.resolve(null);
        return held.promise;
      },
    });
    const [first, second] = [await connectTo(listening), await connectTo(listening)];
    first.write("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    // A request that is not complete keeps its connection open during the close.
    second.write(text.slice(0, 20));
    await holding.promise;
    await expect.poll(() => listening.connections()).toBe(2);
    const closed = listening.close(60_000);
    second.write(text.slice(20));
    expect(await readAll(second)).toMatch(new RegExp(`^HTTP/1.1 ${status} [^]*\\r\\nconnection: close\\r\\n`, "i"));
    held.resolve(new Response("done"));
    expect(await readAll(first)).toMatch(/^HTTP\/1.1 200 /);
    await closed;
  });

  test("is not held up by an answer before which the body did not arrive", async () => {
    const listening = await start(createTestApi().app);
    const sockets = await Promise.all(
      ["Expect: miracles", "X-API-Key: unknown"].map(async (header) => {
        const socket = await connectTo(listening);
        socket.write(`POST /v1/watches HTTP/1.1\r\nHost: a\r\n${header}\r\nContent-Length: 10\r\n\r\n`);
        return readAll(socket);
      }),
    );
    await listening.close(60_000);
    expect(sockets.map((answer) => answer.slice(0, 12))).toEqual(["HTTP/1.1 417", "HTTP/1.1 401"]);
  });

  test("ends idle connections at once", async () => {
    const listening = await start(createTestApi().app);
    const agent = new Agent({ connections: 1 });
    const response = await request(`http://${host}:${listening.port}/healthz`, { dispatcher: agent });
    await response.body.dump();
    await listening.close(60_000);
    await agent.close();
  });

  test.each([
    ["ends its connection", "", ["/stream"], /begun[^]*ended[^]*$/],
    ["answers the request behind it", "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", ["/stream", "/readyz"], /ended[^]*HTTP\/1.1 503 /],
  ])("after an answer that began before, such as an event stream, %s", async (_name, next, paths, expected) => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const arrived: string[] = [];
    const listening = await start({
      fetch(asked) {
        arrived.push(new URL(asked.url).pathname);
        return arrived.length === 1 ? new Response(readable) : answerWaiting(asked);
      },
    });
    const socket = await connectTo(listening);
    const answer = readAll(socket);
    socket.write("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    await writer.write(Buffer.from("begun"));
    const closed = listening.close(60_000);
    await writer.write(Buffer.from("ended"));
    socket.write(next);
    await expect.poll(() => arrived).toEqual(paths);
    await writer.close();
    expect(await answer).toMatch(expected);
    await closed;
  });

  test("lets a client take the rest of an answer that is written already", async () => {
    const body = "x".repeat(16 * 1024 * 1024);
    const listening = await start({ fetch: () => new Response(body, { headers: { "content-length": String(body.length) } }) });
    const socket = await connectTo(listening);
    socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await once(socket, "readable");
    const closed = listening.close(60_000);
    expect((await readAll(socket)).length).toBeGreaterThan(body.length);
    await closed;
  });

  test("is not held up by connections that have sent nothing", async () => {
    const listening = await start(createTestApi().app, { silentMs: 20 });
    const silent = await connectTo(listening);
    await expect.poll(() => listening.connections()).toBe(1);
    const ended = once(silent, "close");
    await listening.close(60_000);
    await ended;
  });

  test("takes a request whose beginning has arrived", async () => {
    const listening = await start(createTestApi().app, { silentMs: 20 });
    const [begun, silent] = [await connectTo(listening), await connectTo(listening)];
    const text = readAll(begun);
    await expect.poll(() => listening.connections()).toBe(2);
    await new Promise((resolve) => begun.write("GET /healthz HTTP/1.1\r\n", resolve));
    // The server reads what was written within a turn of the loop.
    for (let turns = 0; turns < 3; turns++) await new Promise(setImmediate);
    const [ended, closed] = [once(silent, "close"), listening.close(60_000)];
    await ended;
    begun.write("Host: a\r\n\r\n");
    expect(await text).toContain("200 OK");
    await closed;
  });

  test("cuts off what is not done when the grace is over, and may be called again", async () => {
    const { app, subscribed } = waitingApi();
    const listening = await start(app);
    const socket = await connectTo(listening);
    socket.on("error", () => {});
    const ended = once(socket, "close");
    socket.resume();
    socket.write(waitRequest);
    await subscribed;
    await Promise.all([listening.close(10), listening.close(60_000)]);
    await ended;
  });
});

test("a port that is taken refuses the start in one line", async () => {
  const { port } = await start(createTestApi().app);
  const second = listen(createTestApi().app, { host, port });
  await expect(second).rejects.toThrow(StartupError);
  await expect(second).rejects.toThrow(new RegExp(`^cannot listen on ${host}:${port}: EADDRINUSE$`));
});

describe("metrics", () => {
  const errors: object[] = [];
  const logger = { error: (fields: object) => void errors.push(fields) };
  const app = createMetricsApp(async () => ({ contentType: "text/plain; version=0.0.4", body: "ringback_watches 1\n" }), logger);

  test("are served as they are rendered", async () => {
    const response = await app.request("/metrics");
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
    expect(await response.text()).toBe("ringback_watches 1\n");
  });

  test.each([
    ["GET", "/v1/watches", 404],
    ["POST", "/metrics", 405],
  ])("and nothing else is: %s %s is %i", async (method, path, status) => {
    const response = await app.request(path, { method });
    expect(response.status).toBe(status);
    expect(response.headers.get("allow")).toBe(status === 405 ? "GET, HEAD" : null);
    expect(await response.json()).toMatchObject({ status, request_id: response.headers.get("x-request-id") });
  });

  test.each([
    [new Error("key hunter2"), 500, 1],
    [new StoreUnavailableError("hunter2"), 503, 0],
  ])("that cannot be read for %o are %i", async (error, status, logged) => {
    errors.length = 0;
    const render = async () => {
      throw error;
    };
    const response = await createMetricsApp(render, logger).request("/metrics");
    expect(response.status).toBe(status);
    expect(await response.text()).not.toContain("hunter2");
    expect(errors).toHaveLength(logged);
  });
});
