import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../src/adapters/clock.ts";
import { AnswerBudget } from "../../../src/adapters/http-client/answer-budget.ts";
import { UpstreamSource } from "../../../src/adapters/upstream/upstream-source.ts";
import type { Clock } from "../../../src/ports/clock.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { brokenChunks, malformedRests, refusedAnswers, takenAnswers, takenAtTheEnd } from "../../harness/receivers/odd-answers.ts";
import { sourceProtocol } from "../../harness/upstream/settings.ts";
import type { GivenSettings } from "../../harness/upstream/settings.ts";
import { seen } from "../../harness/observations.ts";
import { simulatedUpstream } from "../../harness/upstream/simulated-upstream.ts";

const credential = "s3cr3t-token";
const target = { callSid: "OUT-1", scope: "" };
const calling = '{"status":"calling","reason":""}';

/** `connection` and `request` count from 1, the second within its connection. */
type Received = { readonly socket: Socket; readonly text: string; readonly connection: number; readonly request: number };

/** An upstream that is as wrong as a test wants: it gets every request as text and writes what it likes. */
async function rawUpstream(respond: (received: Received) => void) {
  const sockets = new Set<Socket>();
  const requests: Received[] = [];
  const server = createServer((socket) => {
    const connection = sockets.add(socket).size;
    let request = 0;
    socket.on("error", () => {});
    socket.on("data", (data) => {
      const received = { socket, text: data.toString("latin1"), connection, request: ++request };
      requests.push(received);
      server.emit("request", received);
      respond(received);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, requests, requested: () => once(server, "request") };
}

type SourceOptions = GivenSettings & { readonly maxConnections?: number };

function sourceOf(baseUrl: string, { maxConnections = 128, ...given }: SourceOptions = {}, clock: Clock = systemClock): UpstreamSource {
  const source = new UpstreamSource(sourceProtocol({ baseUrl, credential, ...given }), clock, { maxConnections });
  onTestFinished(() => source.close());
  return source;
}

function tokens(granted: boolean) {
  const state = { taken: 0 };
  return Object.assign(() => ((state.taken += 1), granted), { state });
}

const unasked = () => {
  throw new Error("no second try was due");
};

function answer(statusCode: number, body: string, headers = ""): string {
  return `HTTP/1.1 ${statusCode} X\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

async function pollOnce(respond: (received: Received) => void) {
  const upstream = await rawUpstream(respond);
  return { ...(await sourceOf(upstream.url).poll(target, unasked)), upstream };
}

describe("an answer", () => {
  test("is asked for with the credential and without a body", async () => {
    const { observation, upstream } = await pollOnce(({ socket }) => socket.write(answer(200, calling)));
    expect(observation).toEqual(seen("calling"));
    const [head, ...lines] = upstream.requests[0]!.text.trimEnd().split("\r\n");
    expect(head).toBe("GET /v1/outbound-calling/OUT-1/status HTTP/1.1");
    expect(lines.toSorted()).toEqual([
      "accept-encoding: identity",
      "accept: application/json",
      "connection: keep-alive",
      `host: 127.0.0.1:${upstream.port}`,
      "user-agent: Ringback",
      `x-polyai-auth-token: ${credential}`,
    ]);
  });

  test("carries the upstream's date and how long it took", async () => {
    const date = "Tue, 24 Nov 2026 12:00:00 GMT";
    const { upstreamDateMs, durationMs } = await pollOnce(({ socket }) => socket.write(answer(503, "", `Date: ${date}\r\n`)));
    expect(upstreamDateMs).toBe(Date.parse(date));
    expect(durationMs).toBeGreaterThan(0);
  });

  const inBody = JSON.stringify({ success: false, error_id: "err-7", data: null });
  test.each<[string, number, string, string, string | null]>([
    ["a header", 502, inBody, "X-PolyAI-Correlation-Id: cor-1\r\n", "cor-1"],
    ["the body", 502, inBody, "", "err-7"],
    ["the body of a 404", 404, inBody, "", "err-7"],
    ["nothing", 502, "{}", "", null],
    ["no JSON", 502, '"error_id" is missing', "", null],
    ["another type", 502, '{"error_id":7}', "", null],
    ["an id with a blank", 502, '{"error_id":"a b"}', "", null],
    ["an id that is too long", 502, JSON.stringify({ error_id: "x".repeat(129) }), "", null],
    ["a success, which needs none", 200, calling, "X-PolyAI-Correlation-Id: cor-1\r\n", null],
  ])("carries the upstream's id of a failure: from %s", async (_name, statusCode, body, headers, correlationId) => {
    expect(await pollOnce(({ socket }) => socket.write(answer(statusCode, body, headers)))).toMatchObject({ correlationId });
  });

  test("comes over the connection of the one before", async () => {
    const upstream = await rawUpstream(({ socket }) => socket.write(answer(200, calling)));
    const source = sourceOf(upstream.url, { maxConnections: 1 });
    for (let poll = 0; poll < 3; poll++) await source.poll(target, unasked);
    expect(upstream.requests.map(({ connection, request }) => [connection, request])).toEqual([
      [1, 1],
      [1, 2],
      [1, 3],
    ]);
  });

  test("waits for room, which its body takes before it is read", async () => {
    const held: Socket[] = [];
    const upstream = await rawUpstream(({ socket, text }) => {
      if (text.includes("OUT-1/")) {
        held.push(socket);
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${calling.length}\r\n\r\n`);
      } else socket.write(answer(200, calling));
    });
    const room = new AnswerBudget(calling.length * 1.5, calling.length * 1.5).room();
    const source = new UpstreamSource(sourceProtocol({ baseUrl: upstream.url }), systemClock, { room });
    onTestFinished(() => source.close());
    const order: string[] = [];
    const poll = async (callSid: string) => {
      const { observation } = await source.poll({ callSid, scope: "" }, () => true);
      order.push(`${callSid} ${observation.kind}`);
    };
    const first = poll("OUT-1");
    await upstream.requested();
    const [others, taken] = [[poll("OUT-2"), poll("OUT-3")], upstream.requested()];
    await taken;
    // The first one ends last of all on the wire, and first of all here.
    while (upstream.requests.length < 3) await upstream.requested();
    await setImmediate();
    expect(order).toEqual([]);
    held[0]?.write(calling);
    await Promise.all([first, ...others]);
    expect(order.toSorted()).toEqual(["OUT-1 status", "OUT-2 status", "OUT-3 status"]);
    expect(order[0]).toBe("OUT-1 status");
    // The connection that waited carries further requests.
    await poll("OUT-4");
    expect(order.at(-1)).toBe("OUT-4 status");
  });

  test("that waits for room when its time is over gives its place up", async () => {
    const clock = new FakeClock();
    const upstream = await rawUpstream(({ socket, text }) =>
      socket.write(text.includes("OUT-1/") ? `HTTP/1.1 200 OK\r\ncontent-length: ${calling.length}\r\n\r\n` : answer(200, calling)),
    );
    const room = new AnswerBudget(calling.length, calling.length).room();
    const source = new UpstreamSource(sourceProtocol({ baseUrl: upstream.url }), clock, { room });
    onTestFinished(() => source.close());
    const polls = ["OUT-1", "OUT-2"].map((callSid) => source.poll({ callSid, scope: "" }, () => true));
    while (upstream.requests.length < 2) await upstream.requested();
    while (room.tryTake(1)) {
      room.giveBack(1);
      await setImmediate();
    }
    await clock.advance(10_000);
    for (const { observation } of await Promise.all(polls)) expect(observation).toMatchObject({ kind: "failed", code: "timeout" });
    expect(room.tryTake(calling.length)).toBe(true);
  });

  test("after interim ones counts", async () => {
    const { observation } = await pollOnce(({ socket }) =>
      socket.write(`HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${answer(200, calling)}`),
    );
    expect(observation).toMatchObject({ kind: "status", status: "calling" });
  });

  test("in pieces, chunked and without a length is read to its end", async () => {
    const { observation } = await pollOnce(({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      for (const byte of Buffer.from('{"status":"success","reason":"€"}'))
        socket.write(Buffer.concat([Buffer.from("1\r\n"), Buffer.of(byte), Buffer.from("\r\n")]));
      socket.write("0\r\n\r\n");
    });
    expect(observation).toEqual(seen("success", "€"));
  });

  test.each([
    [400, "rejected"],
    [401, "unauthorized"],
    [404, "not_found"],
    [429, "rate_limited"],
    [500, "failed"],
  ])("%i with a body that breaks off is still that", async (statusCode, kind) => {
    const { observation } = await pollOnce(({ socket }) => socket.end(`HTTP/1.1 ${statusCode} X\r\ncontent-length: 99\r\n\r\n{"err`));
    expect(observation.kind).toBe(kind);
  });

  test("that redirects is not followed", async () => {
    const { observation, upstream } = await pollOnce(({ socket }) =>
      socket.write(answer(302, "", `location: /elsewhere?${credential}\r\n`)),
    );
    expect(observation).toEqual({ kind: "failed", code: "redirect", detail: "answered 302" });
    expect(upstream.requests).toHaveLength(1);
  });

  test.each([
    [64 * 1024, "status"],
    [64 * 1024 + 1, "failed"],
  ])("of %i bytes: %s", async (bytes, kind) => {
    const frame = '{"status":"success","x":""}';
    const body = frame.replace('""', `"${"x".repeat(bytes - frame.length)}"`);
    const { observation } = await pollOnce(({ socket }) => socket.write(answer(200, body)));
    expect(observation.kind).toBe(kind);
    if (observation.kind === "failed") expect(observation.code).toBe("too_large");
  });

  test("without an end is read no further than 64 KiB, and its connection is let go", async () => {
    const closed = Promise.withResolvers<void>();
    const { observation } = await pollOnce(({ socket }) => {
      socket.once("close", () => closed.resolve());
      socket.write("HTTP/1.1 404 X\r\ntransfer-encoding: chunked\r\n\r\n");
      const fill = () => {
        while (!socket.destroyed && socket.write(`1000\r\n${"x".repeat(4096)}\r\n`));
      };
      socket.on("drain", fill);
      fill();
    });
    expect(observation).toEqual({ kind: "not_found" });
    await closed.promise;
  });

  test.each([
    ["another protocol", "SSH-2.0-OpenSSH_9.9\r\n", "not_json"],
    ["a status that is no number", "HTTP/1.1 abc OK\r\n\r\n", "not_json"],
    ["HTML", answer(200, "<html>"), "not_json"],
    ["a head larger than 64 KiB", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(70_000)}\r\n\r\n`, "not_json"],
    ["half a body", 'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"status"', "reset"],
    ["half a head", "HTTP/1.1 200 O", "reset"],
    ["an unrequested upgrade", "HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "not_json"],
  ])("that is %s: a failure of its own class", async (_name, text, code) => {
    const { observation } = await pollOnce(({ socket }) => socket.end(text));
    expect(observation).toMatchObject({ kind: "failed", code });
  });

  test("of any bytes at all is an observation that does not hold the credential", async () => {
    let bytes: Uint8Array = new Uint8Array();
    const upstream = await rawUpstream(({ socket }) => socket.end(bytes));
    const source = sourceOf(upstream.url);
    const heads = fc.constantFrom(
      "",
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 200 OK\r\n\r\n",
      "HTTP/1.1 429 X\r\nretry-after: ",
      `HTTP/1.1 401 ${credential}\r\n`,
    );
    await fc.assert(
      fc.asyncProperty(heads, fc.uint8Array({ maxLength: 200 }), async (head, rest) => {
        bytes = Buffer.concat([Buffer.from(head), rest]);
        expect(JSON.stringify(await source.poll(target, () => false))).not.toContain(credential);
      }),
      { numRuns: 100 },
    );
  });
});

describe("an odd answer", () => {
  const everyTaken = Object.entries({ ...takenAnswers(calling), ...takenAtTheEnd(calling) });
  test.each(everyTaken)("is read: %s", async (_name, raw) => {
    const { observation } = await pollOnce(({ socket }) => socket.end(Buffer.from(raw, "latin1")));
    expect(observation).toEqual(seen("calling"));
  });

  test.each(Object.entries({ ...refusedAnswers, ...brokenChunks }))("is refused: %s", async (_name, { raw, detail, rule }) => {
    const { observation } = await pollOnce(({ socket }) => socket.write(Buffer.from(raw, "latin1")));
    expect(observation, rule).toMatchObject({ kind: "failed", code: "not_json", detail: expect.stringMatching(detail) });
  });

  test.each(Object.entries(malformedRests))("whose status is followed by %s is judged by its status", async (_name, rest) => {
    const { observation } = await pollOnce(({ socket }) =>
      socket.end(Buffer.from(`HTTP/1.1 429 X\r\nretry-after: 7\r\n${rest}`, "latin1")),
    );
    expect(observation).toEqual({ kind: "rate_limited", retryAfterMs: 7000 });
  });

  test("with another behind it: the next poll does not take that one", async () => {
    const upstream = await rawUpstream(({ socket, connection }) =>
      socket.write(connection === 1 ? answer(200, calling) + answer(200, '{"status":"success"}') : answer(200, calling)),
    );
    const source = sourceOf(upstream.url, { maxConnections: 1 });
    for (let poll = 0; poll < 3; poll++)
      expect((await source.poll(target, unasked)).observation).toMatchObject({ kind: "status", status: "calling" });
    expect(upstream.requests.map(({ connection }) => connection)).toEqual([1, 2, 2]);
  });
});

const large = (bytes: number): Buffer => Buffer.from(`{"status":"success","x":"${"x".repeat(bytes - 27)}"}`);

function encoded(coding: string, body: Buffer): Buffer {
  const head = `content-type: application/json\r\ncontent-encoding: ${coding}\r\ncontent-length: ${body.length}`;
  return Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`), body]);
}

describe("a compressed answer", () => {
  test.each([
    ["gzip", gzipSync(calling)],
    ["GZip", gzipSync(calling)],
    ["x-gzip", gzipSync(calling)],
    ["deflate", deflateSync(calling)],
    ["deflate", deflateRawSync(calling)],
    ["br", brotliCompressSync(calling)],
    ["br, gzip", gzipSync(brotliCompressSync(calling))],
    ["identity", Buffer.from(calling)],
    ["gzip", Buffer.from(calling)],
    ["deflate", Buffer.from(calling)],
    ["utf-8", Buffer.from(calling)],
    ["gzip", Buffer.concat([gzipSync(calling.slice(0, 9)), gzipSync(calling.slice(9))])],
  ])("%s is read", async (coding, body) => {
    const { observation } = await pollOnce(({ socket }) => socket.write(encoded(coding, body)));
    expect(observation).toEqual(seen("calling"));
  });

  test("in chunks of one byte is read", async () => {
    const { observation } = await pollOnce(({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n");
      for (const byte of gzipSync(calling)) socket.write(Buffer.concat([Buffer.from("1\r\n"), Buffer.of(byte), Buffer.from("\r\n")]));
      socket.write("0\r\n\r\n");
    });
    expect(observation).toEqual(seen("calling"));
  });

  test.each([
    ["gzip", gzipSync(large(64 * 1024)), "status"],
    ["gzip", gzipSync(large(64 * 1024 + 1)), "too_large"],
    ["br", brotliCompressSync(large(64 * 1024)), "status"],
    ["br", brotliCompressSync(large(64 * 1024 + 1)), "too_large"],
    ["gzip", gzipSync(Buffer.alloc(50_000_000)), "too_large"],
    ["gzip, gzip", gzipSync(gzipSync(Buffer.alloc(50_000_000))), "too_large"],
    ["gzip", gzipSync("<html>"), "not_json"],
    ["gzip", gzipSync(calling).subarray(0, 20), "not_json"],
    ["compress", Buffer.from([0x1f, 0x9d, 0x90]), "not_json"],
  ] as const)("%s (%#) has the same limits", async (coding, body, expected) => {
    const { observation } = await pollOnce(({ socket }) => socket.write(encoded(coding, body)));
    expect(observation.kind === "failed" ? observation.code : observation.kind).toBe(expected);
  });

  test("an error is judged by its status", async () => {
    const { observation } = await pollOnce(({ socket }) =>
      socket.write("HTTP/1.1 404 X\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nno!"),
    );
    expect(observation).toEqual({ kind: "not_found" });
  });
});

describe("the upstream as documented", () => {
  test.each([{ kind: "polyai-legacy" }, { kind: "polyai-agents", agentId: "PROJECT-1", environment: "live" }] as const)(
    "$kind",
    async (config) => {
      const simulator = await simulatedUpstream({ authToken: credential, apiKey: credential });
      const callSid = simulator.trigger({ scenario: "success" });
      const source = sourceOf(simulator.url, config);
      const observed = async (sid: string, asked = source) => (await asked.poll({ callSid: sid, scope: "" }, unasked)).observation;
      expect(await observed(callSid)).toMatchObject({ kind: "status", status: "queued" });
      expect(await observed("OUT-unknown")).toEqual({ kind: "not_found" });
      expect(await observed(callSid, sourceOf(simulator.url, { ...config, credential: "another" }))).toEqual({
        kind: "unauthorized",
        statusCode: 401,
      });
      simulator.fault({ kind: "status", statusCode: 429, retryAfter: "7", times: 1 });
      expect(await observed(callSid)).toEqual({ kind: "rate_limited", retryAfterMs: 7000 });
    },
  );
});

describe("no connection", () => {
  test("refused", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    const { observation } = await sourceOf(`http://127.0.0.1:${port}`).poll(target, unasked);
    expect(observation).toEqual({ kind: "failed", code: "connect", detail: "no connection (ECONNREFUSED)" });
  });

  test("no TLS behind it", async () => {
    const upstream = await rawUpstream(({ socket }) => socket.end(answer(200, calling)));
    const { observation } = await sourceOf(upstream.url.replace("http:", "https:")).poll(target, unasked);
    expect(observation).toMatchObject({ kind: "failed", code: "tls" });
  });

  test.each(["end", "resetAndDestroy"] as const)("a TLS handshake that is broken off (%s)", async (breakOff) => {
    const upstream = await rawUpstream(({ socket }) => socket[breakOff]());
    const { observation } = await sourceOf(upstream.url.replace("http:", "https:")).poll(target, unasked);
    expect(observation).toMatchObject({ kind: "failed", code: "tls", detail: expect.stringContaining("during the TLS handshake") });
  });

  test("no such name", async () => {
    const { observation } = await sourceOf("http://upstream.invalid").poll(target, unasked);
    expect(observation).toMatchObject({ kind: "failed", code: "dns" });
  });
});

describe("a reset", () => {
  test.each(["resetAndDestroy", "end"] as const)(
    "of a reused connection (%s) is followed by one more try, for a token",
    async (breakOff) => {
      const upstream = await rawUpstream(({ socket, connection, request }) => {
        if (connection === 1 && request === 2) socket[breakOff]();
        else socket.write(answer(200, calling));
      });
      const source = sourceOf(upstream.url, { maxConnections: 1 });
      const takeToken = tokens(true);
      await source.poll(target, takeToken);
      expect((await source.poll(target, takeToken)).observation).toMatchObject({ kind: "status" });
      expect(takeToken.state.taken).toBe(1);
      expect(upstream.requests.map(({ connection, request }) => [connection, request])).toEqual([
        [1, 1],
        [1, 2],
        [2, 1],
      ]);
    },
  );

  test("of a reused connection is the answer when there is no token", async () => {
    const upstream = await rawUpstream(({ socket, request }) =>
      request === 2 ? socket.resetAndDestroy() : socket.write(answer(200, calling)),
    );
    const source = sourceOf(upstream.url, { maxConnections: 1 });
    await source.poll(target, unasked);
    const takeToken = tokens(false);
    expect((await source.poll(target, takeToken)).observation).toEqual({
      kind: "failed",
      code: "reset",
      detail: "the connection broke off (ECONNRESET)",
    });
    expect(takeToken.state.taken).toBe(1);
    expect(upstream.requests).toHaveLength(2);
  });

  test("of the second try is final", async () => {
    const upstream = await rawUpstream(({ socket, connection, request }) => {
      if (connection === 1 && request === 1) socket.write(answer(200, calling));
      else socket.resetAndDestroy();
    });
    const source = sourceOf(upstream.url, { maxConnections: 1 });
    await source.poll(target, unasked);
    const takeToken = tokens(true);
    expect((await source.poll(target, takeToken)).observation).toMatchObject({ kind: "failed", code: "reset" });
    expect(takeToken.state.taken).toBe(1);
    expect(upstream.requests).toHaveLength(3);
  });

  test("of a fresh connection is not tried again", async () => {
    const { observation, upstream } = await pollOnce(({ socket }) => socket.resetAndDestroy());
    expect(observation).toMatchObject({ kind: "failed", code: "reset" });
    expect(upstream.requests).toHaveLength(1);
  });

  test("after the first byte of an answer is not tried again", async () => {
    const upstream = await rawUpstream(({ socket, request }) =>
      request === 2 ? socket.end("HTTP/1.1 2") : socket.write(answer(200, calling)),
    );
    const source = sourceOf(upstream.url, { maxConnections: 1 });
    await source.poll(target, unasked);
    expect((await source.poll(target, unasked)).observation).toMatchObject({ kind: "failed", code: "reset" });
    expect(upstream.requests).toHaveLength(2);
  });

  test("after an error answer on that connection counts as one of a reused connection", async () => {
    const upstream = await rawUpstream(({ socket, connection, request }) => {
      if (connection === 2) socket.write(answer(200, calling));
      else if (request === 1) socket.write(answer(404, "{}"));
      else socket.resetAndDestroy();
    });
    const source = sourceOf(upstream.url, { maxConnections: 1 });
    await source.poll(target, unasked);
    expect((await source.poll(target, () => true)).observation).toMatchObject({ kind: "status" });
  });
});

test.each(["resetAndDestroy", "end", "destroy"] as const)(
  "of a thousand polls of an upstream that answers 200 and is gone (%s) none fails",
  async (leave) => {
    const upstream = await rawUpstream(({ socket }) => socket.write(answer(200, calling), () => socket[leave]()));
    const source = sourceOf(upstream.url, { maxConnections: 32 });
    const kinds = new Map<string, number>();
    let asked = 0;
    const pollOn = async (): Promise<void> => {
      while (asked++ < 1000) {
        const { observation } = await source.poll(target, () => true);
        const kind = observation.kind === "failed" ? observation.detail : observation.kind;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: 32 }, pollOn));
    expect(Object.fromEntries(kinds)).toEqual({ status: 1000 });
  },
);

describe("ten seconds", () => {
  test.each([
    ["without a head", ""],
    ["with half a head", "HTTP/1.1 200 OK\r\n"],
    ["with a body that drips", 'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"sta'],
  ])("%s are a timeout, and the connection is let go", async (_name, start) => {
    const closed = Promise.withResolvers<void>();
    const written = Promise.withResolvers<void>();
    const upstream = await rawUpstream(({ socket }) => {
      socket.once("close", () => closed.resolve());
      socket.write(start, () => written.resolve());
    });
    const clock = new FakeClock();
    const polled = sourceOf(upstream.url, {}, clock).poll(target, unasked);
    await written.promise;
    await clock.advance(9999);
    expect(await Promise.race([polled, "still waiting"])).toBe("still waiting");
    await clock.advance(1);
    expect(await polled).toMatchObject({
      observation: { kind: "failed", code: "timeout", detail: "no complete answer within 10000 ms" },
      durationMs: 10_000,
    });
    await closed.promise;
  });

  test("are enough for a 404 whose body never ends", async () => {
    const written = Promise.withResolvers<void>();
    const upstream = await rawUpstream(({ socket }) =>
      socket.write("HTTP/1.1 404 X\r\ncontent-length: 9\r\n\r\n{", () => written.resolve()),
    );
    const clock = new FakeClock();
    const polled = sourceOf(upstream.url, {}, clock).poll(target, unasked);
    await written.promise;
    await clock.advance(10_000);
    expect((await polled).observation).toEqual({ kind: "not_found" });
  });

  test("include the second try", async () => {
    const upstream = await rawUpstream(({ socket, connection, request }) => {
      if (connection === 1 && request === 1) socket.write(answer(200, calling));
      if (connection === 1 && request === 2) void clock.advance(6000).then(() => socket.resetAndDestroy());
    });
    const clock = new FakeClock();
    const source = sourceOf(upstream.url, { maxConnections: 1 }, clock);
    await source.poll(target, unasked);
    const polled = source.poll(target, () => true);
    while (upstream.requests.length < 3) await upstream.requested();
    await clock.advance(4000);
    expect(await polled).toMatchObject({ observation: { kind: "failed", code: "timeout" }, durationMs: 10_000 });
  });

  test("include waiting for a connection, and what was given up is not sent later", async () => {
    const upstream = await rawUpstream(({ socket, request }) => {
      if (request > 1) socket.write(answer(200, calling));
    });
    const clock = new FakeClock();
    const source = sourceOf(upstream.url, { maxConnections: 1 }, clock);
    const polled = ["OUT-a", "OUT-b"].map((callSid) => source.poll({ callSid, scope: "" }, unasked));
    await upstream.requested();
    await clock.advance(10_000);
    for (const { observation } of await Promise.all(polled)) expect(observation).toMatchObject({ kind: "failed", code: "timeout" });
    const third = source.poll({ callSid: "OUT-c", scope: "" }, unasked);
    await upstream.requested();
    expect(upstream.requests.map(({ text }) => /OUT-\w/.exec(text)?.[0])).toEqual(["OUT-a", "OUT-c"]);
    await clock.advance(10_000);
    await third;
  });

  test("of many polls take one timer", async () => {
    const upstream = await rawUpstream(() => {});
    const clock = new FakeClock();
    const source = sourceOf(upstream.url, {}, clock);
    const first = source.poll(target, unasked);
    await clock.advance(4000);
    const later = Array.from({ length: 20 }, () => source.poll(target, unasked));
    expect(clock.timerCount).toBe(1);
    while (upstream.requests.length < 21) await upstream.requested();
    await clock.advance(6000);
    expect(await first).toMatchObject({ observation: { code: "timeout" } });
    expect(await Promise.race([...later, "still waiting"])).toBe("still waiting");
    await clock.advance(4000);
    for (const { durationMs } of await Promise.all(later)) expect(durationMs).toBe(10_000);
    expect(clock.timerCount).toBe(0);
  });
});

describe("close", () => {
  test("ends the polls under way as failed and leaves no timer", async () => {
    const upstream = await rawUpstream(() => {});
    const clock = new FakeClock();
    const source = sourceOf(upstream.url, { maxConnections: 1 }, clock);
    const polled = [1, 2].map(() => source.poll(target, unasked));
    await upstream.requested();
    await source.close();
    for (const { observation } of await Promise.all(polled)) expect(observation.kind).toBe("failed");
    expect(clock.timerCount).toBe(0);
  });

  test("may be called twice, and a poll after it fails", async () => {
    const upstream = await rawUpstream(() => {});
    const clock = new FakeClock();
    const source = sourceOf(upstream.url, {}, clock);
    await source.close();
    await source.close();
    expect((await source.poll(target, unasked)).observation).toMatchObject({ kind: "failed", code: "reset" });
    expect(clock.timerCount).toBe(0);
  });
});
