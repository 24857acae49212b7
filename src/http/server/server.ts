import { randomUUID } from "node:crypto";
import { STATUS_CODES, createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { promisify } from "node:util";
import { RequestError, getRequestListener } from "@hono/node-server";
import type { Http2Bindings, HttpBindings } from "@hono/node-server";
import { StartupError } from "../../domain/errors.ts";
import { problemAnswer } from "../operations/problem.ts";
import type { Problem } from "../operations/problem.ts";
import { requestIdOf } from "../operations/request-guards.ts";
import { ClosingResponse, isDiscarding } from "./unread-body.ts";

/** A Hono app. `bindings` name the peer of the request. */
export type Fetchable = { fetch(request: Request, bindings: HttpBindings | Http2Bindings): Response | Promise<Response> };

export type Listening = {
  /** Port that was bound; a free one if 0 was requested. */
  readonly port: number;
  /** Number of open connections. */
  connections(): Promise<number>;
  /** Stops accepting, lets running requests finish within `graceMs`, then closes every connection. May be called again. */
  close(graceMs: number): Promise<void>;
};

/** Limits on the cost of one client; durations in milliseconds. */
export type ServerLimits = {
  readonly maxConnections: number;
  /** Time in which request line and headers must arrive. */
  readonly headersTimeoutMs: number;
  /** Time in which the whole request must arrive. The answer may take longer, because the query parameter `wait` delays it. */
  readonly requestTimeoutMs: number;
  /** Interval at which the two limits above are checked. */
  readonly checkEveryMs: number;
  /** Maximum idle time between requests. Longer than that of load balancers, so that they send no request on a closing connection. */
  readonly keepAliveTimeoutMs: number;
  /**
   * Time without any traffic after which a connection is destroyed, because its client does not read the answer. Longer
   * than any `wait`.
   */
  readonly stallTimeoutMs: number;
  /** Time that a stop leaves to connections that have sent nothing. */
  readonly silentMs: number;
};

/** Maximum number of connections to the API. */
export const maxConnections = 10_000;

const defaultLimits: ServerLimits = {
  maxConnections,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  checkEveryMs: 5000,
  keepAliveTimeoutMs: 75_000,
  stallTimeoutMs: 120_000,
  silentMs: 500,
};
const maxHeaderBytes = 16 * 1024;

const badRequest: Problem = { slug: "bad-request" };
const severalHosts: Problem = { slug: "bad-request", detail: "the request has several Host fields" };
const allow = "GET, HEAD, POST, PUT, PATCH, DELETE";
const noTunnel: Problem = { slug: "method-not-allowed", detail: "proxy requests are not supported", headers: { allow } };
const noServerOptions: Problem = { slug: "method-not-allowed", detail: "OPTIONS is not supported", headers: { allow } };
const internalError: Problem = { slug: "internal", detail: "the service has a fault" };
/** Problems by error code of the HTTP parser. Any other code means a bad request. */
const unreadable: Readonly<Record<string, Problem>> = {
  HPE_HEADER_OVERFLOW: { slug: "headers-too-large", detail: `request line and headers exceed ${maxHeaderBytes} bytes` },
  ERR_HTTP_REQUEST_TIMEOUT: { slug: "request-timeout" },
};

/** A Host with an IPv6 literal, which has several spellings, or with an empty port (RFC 3986 section 3.2.3). */
const unusualHost = /^(?:\[[0-9a-f:.]+\](?::\d*)?|[^:@/?#\\[\]]+:)$/i;

/** Serves an app over HTTP/1.1. Rejects with `StartupError` if the port cannot be bound. */
export function listen(
  app: Fetchable,
  { host, port }: { readonly host: string; readonly port: number },
  given: Partial<ServerLimits> = {},
): Promise<Listening> {
  const limits = { ...defaultLimits, ...given };
  const options = {
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: limits.checkEveryMs,
    maxHeaderSize: maxHeaderBytes,
    // A missing Host is answered below, with a problem document like every other error.
    requireHostHeader: false,
    ServerResponse: ClosingResponse,
  };
  const answer = getRequestListener((request, bindings) => app.fetch(request, bindings), {
    errorHandler,
    hostname: "localhost",
    // The adapter would close the connection after half a second, and a client that still sends would lose the answer.
    // `ClosingResponse` reads some of the rest of the body.
    autoCleanupIncoming: false,
  });
  const answering = new Map<Duplex, ServerResponse>();
  /** Open connections, by the number of bytes that were read when their last answer ended. */
  const sockets = new Map<Socket, number>();
  let closing: Promise<void> | null = null;
  /** Called before an answer may be written, because the headers of some are sent within the same call. */
  const begin = ({ socket }: IncomingMessage, response: ServerResponse): void => {
    answering.set(socket, response);
    response.once("close", () => {
      // The next request of the connection may have arrived already.
      if (answering.get(socket) === response) answering.delete(socket);
      if (sockets.has(socket)) sockets.set(socket, socket.bytesRead);
    });
    if (closing !== null) response.setHeader("connection", "close");
  };
  const server = createServer(options, (request, response) => {
    if (isDiscarding(request.socket)) return;
    begin(request, response);
    const fault = hostFault(request) ?? (request.url === "*" && request.method === "OPTIONS" ? noServerOptions : null);
    if (fault !== null) return refuse(request, response, fault);
    const { host } = request.headers;
    // The adapter refuses a Host that differs from what the URL standard writes.
    if (host !== undefined && unusualHost.test(host)) request.headers.host = URL.parse(`http://${host}`)?.host ?? host;
    void answer(request, response);
  });
  server.maxConnections = limits.maxConnections;
  server.setTimeout(limits.stallTimeoutMs);

  server.on("connection", (socket) => {
    sockets.set(socket, 0);
    socket.once("close", () => sockets.delete(socket));
  });
  // Replaces that of Node, which also ends a connection whose client still takes an answer that is written whole.
  server.closeIdleConnections = () => {
    for (const [socket, bytesAnswered] of sockets)
      if (bytesAnswered > 0 && socket.bytesRead === bytesAnswered && !answering.has(socket) && !isDiscarding(socket)) socket.destroy();
  };

  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const isAnswered = answering.get(socket)?.headersSent === true;
    if (error.code === "ECONNRESET" || !socket.writable || isAnswered) socket.destroy();
    else socket.end(rawAnswer(unreadable[error.code ?? ""] ?? badRequest));
  });

  server.on("checkExpectation", (request, response) => {
    if (isDiscarding(request.socket)) return;
    begin(request, response);
    refuse(request, response, { slug: "expectation-failed" });
  });
  server.on("connect", (_request, socket) => socket.end(rawAnswer(noTunnel)));

  const close = (graceMs: number): Promise<void> =>
    (closing ??= new Promise((resolve) => {
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      // Node counts a connection that has sent nothing as active. A client that opens some in advance would delay the close.
      const silence = setTimeout(() => {
        for (const socket of sockets.keys()) if (socket.bytesRead === 0) socket.destroy();
      }, limits.silentMs);
      server.close(() => {
        clearTimeout(timer);
        clearTimeout(silence);
        resolve();
      });
      // Idle connections are closed by now. Others are closed after their answer, because an open connection would delay
      // the close until the grace ends.
      for (const response of answering.values())
        if (!response.headersSent) response.setHeader("connection", "close");
        // Such an answer, an event stream for instance, has promised its client that the connection stays open.
        else response.once("close", () => server.closeIdleConnections());
    }));

  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(new StartupError(`cannot listen on ${host}:${port}: ${error.code ?? error.message}`, { cause: error })),
    );
    server.listen(port, host, () => {
      const address = server.address();
      const connections = promisify(server.getConnections.bind(server));
      resolve({ port: typeof address === "object" && address !== null ? address.port : port, connections, close });
    });
  });
}

/** Returns the fault of the Host field (RFC 9112 section 3.2); `null` if there is none. HTTP/1.0 does not require the field. */
function hostFault({ headers, httpVersion, rawHeaders }: IncomingMessage): Problem | null {
  if (headers.host === undefined) return httpVersion === "1.0" ? null : badRequest;
  // Node keeps the first of several fields, but a proxy may have routed by another one.
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === "host") hosts += 1;
  }
  return hosts > 1 ? severalHosts : null;
}

/** Answers requests that never reach an app, such as one with an invalid Host. Apps answer their own errors. */
function errorHandler(error: unknown): Response {
  const { status, headers, body } = answerOf(error instanceof RequestError ? badRequest : internalError);
  return new Response(body, { status, headers });
}

function answerOf(problem: Problem, requestId: string = randomUUID()) {
  const { status, contentType, body, headers: given } = problemAnswer(problem, requestId);
  const headers = {
    "content-type": contentType,
    "content-length": String(Buffer.byteLength(body)),
    "x-request-id": requestId,
    ...given,
  };
  return { status, headers, body };
}

function refuse(request: IncomingMessage, response: ServerResponse, problem: Problem): void {
  const { status, headers, body } = answerOf(problem, requestIdOf(request.headers["x-request-id"]));
  response.writeHead(status, headers).end(body);
}

/** Answers on a socket that has no response object yet. */
function rawAnswer(problem: Problem): string {
  const { status, headers, body } = answerOf(problem);
  const lines = Object.entries({ ...headers, connection: "close" }).map(([name, value]) => `${name}: ${value}`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}
