import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { onTestFinished } from "vitest";
import type { Identity } from "./self-signed.ts";

/** One complete request as it came over the wire. `connection` and `number` count from 1. */
export type RawRequest = {
  readonly head: string;
  readonly body: string;
  readonly socket: Socket;
  readonly connection: number;
  /** Of its connection. */
  readonly number: number;
};

export type RawReceiver = {
  readonly port: number;
  /** `http://127.0.0.1:port/hook` */
  readonly url: string;
  readonly requests: readonly RawRequest[];
  readonly connectionCount: () => number;
  /** Resolves once no connection is open. */
  readonly released: () => Promise<void>;
};

export type Behaviour = {
  /** At each complete request. */
  readonly answer?: (request: RawRequest) => void;
  /** Called for each connection, before a byte was sent. */
  readonly greet?: (socket: Socket) => void;
  readonly tls?: Identity;
  readonly port?: number;
};

/** A receiver without an HTTP library, so that it can do everything wrong. Ends with the test. */
export async function startReceiver(behaviour: Behaviour): Promise<RawReceiver> {
  const requests: RawRequest[] = [];
  const open = new Set<Socket>();
  const idle: (() => void)[] = [];
  let connections = 0;
  const serve = (socket: Socket) => {
    const connection = ++connections;
    let received = Buffer.alloc(0);
    let number = 0;
    behaviour.greet?.(socket);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const headEnd = received.indexOf("\r\n\r\n");
      if (headEnd < 0) return;
      const head = received.subarray(0, headEnd).toString("latin1");
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (received.length < headEnd + 4 + length) return;
      const body = received.subarray(headEnd + 4, headEnd + 4 + length).toString();
      received = received.subarray(headEnd + 4 + length);
      const request = { head, body, socket, connection, number: ++number };
      requests.push(request);
      behaviour.answer?.(request);
    });
  };
  const server: Server = behaviour.tls === undefined ? createServer(serve) : createTlsServer(behaviour.tls, serve);
  server.on("connection", (socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      open.delete(socket);
      if (open.size === 0) for (const resolve of idle.splice(0)) resolve();
    });
  });
  server.on("tlsClientError", () => undefined);
  server.listen(behaviour.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}/hook`,
    requests,
    connectionCount: () => connections,
    async released() {
      if (open.size === 0) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      idle.push(resolve);
      await promise;
    },
  };
}

export const ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const chunkedHead = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/** Writes `text` again and again until the other side has had enough. */
function pour(socket: Socket, text: string): void {
  const more = () => {
    while (!socket.destroyed && socket.write(text));
    if (!socket.destroyed) socket.once("drain", more);
  };
  more();
}

/** Receivers with one behaviour each, by its name. */
export const zoo = {
  wellBehaved: { answer: ({ socket }) => socket.write(ok) },
  noContent: { answer: ({ socket }) => socket.write("HTTP/1.1 204 No Content\r\n\r\n") },
  chunked: { answer: ({ socket }) => socket.write(`${chunkedHead}${chunk("half ")}${chunk("and half")}0\r\n\r\n`) },
  untilClose: { answer: ({ socket }) => socket.end("HTTP/1.1 200 OK\r\n\r\nuntil the end") },
  earlyHints: {
    answer: ({ socket }) => socket.write(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${ok}`),
  },
  continues: { answer: ({ socket }) => socket.write(`HTTP/1.1 100 Continue\r\n\r\n${ok}`) },
  switches: { answer: ({ socket }) => socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n") },
  redirect: { answer: ({ socket }) => socket.write("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n") },
  busy: { answer: ({ socket }) => socket.write("HTTP/1.1 429 Slow\r\nretry-after: 17\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n") },
  silent: {},
  slowHead: { answer: ({ socket }) => socket.write("HTTP/1.1 200 O") },
  drippingBody: {
    answer: ({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
      const drip = setInterval(() => socket.write("."), 10);
      socket.on("close", () => clearInterval(drip));
    },
  },
  interimForEver: {
    answer: ({ socket }) => {
      const drip = setInterval(() => socket.write("HTTP/1.1 102 Processing\r\n\r\n"), 10);
      socket.on("close", () => clearInterval(drip));
    },
  },
  endlessBody: {
    answer: ({ socket }) => {
      socket.write(chunkedHead);
      pour(socket, chunk("x".repeat(10_000)));
    },
  },
  hugeLength: {
    answer: ({ socket }) => {
      socket.write("HTTP/1.1 500 No\r\ncontent-length: 900000000000\r\n\r\n");
      pour(socket, "y".repeat(10_000));
    },
  },
  hugeHead: { answer: ({ socket }) => socket.write(`HTTP/1.1 200 OK\r\nx: ${"h".repeat(70_000)}\r\ncontent-length: 0\r\n\r\n`) },
  endlessHead: {
    answer: ({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      pour(socket, "a: b\r\n".repeat(100));
    },
  },
  garbage: { answer: ({ socket }) => socket.write("\u0000\u0001SSH-2.0-hello\r\n\r\n") },
  wrongProtocol: { answer: ({ socket }) => socket.write("HTTP/2.7 200 OK\r\n\r\n") },
  closesBeforeAnswer: { answer: ({ socket }) => socket.end() },
  resetsBeforeAnswer: { answer: ({ socket }) => socket.resetAndDestroy() },
  closesAtOnce: { greet: (socket) => socket.destroy() },
  brokenHead: { answer: ({ socket }) => socket.end("HTTP/1.1 200 OK\r\nx-half: ") },
  brokenBody: { answer: ({ socket }) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this") },
  brokenChunks: { answer: ({ socket }) => socket.end(`${chunkedHead}${chunk("one")}ff\r\nhalf`) },
  moreThanSaid: { answer: ({ socket }) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more") },
  twoLengths: { answer: ({ socket }) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok") },
} as const satisfies Record<string, Behaviour>;
