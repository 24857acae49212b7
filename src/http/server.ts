import { randomUUID } from "node:crypto";
import { STATUS_CODES, createServer } from "node:http";
import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { RequestError, getRequestListener } from "@hono/node-server";
import type { Http2Bindings, HttpBindings } from "@hono/node-server";
import { StartRefused } from "../domain/errors.ts";
import { problemBody } from "./problem.ts";

/** `bindings` tell an app who the peer is. */
type Fetchable = { fetch(request: Request, bindings: HttpBindings | Http2Bindings): Response | Promise<Response> };

export type Listening = {
  /** As it was bound: the one chosen where 0 was asked for. */
  readonly port: number;
  /** Accepts no more, lets what runs finish within `graceMs`, then closes every connection. May be called again. */
  close(graceMs: number): Promise<void>;
};

const maxConnections = 10_000;
const maxHeaderBytes = 16 * 1024;

type Unreadable = { readonly status: number; readonly slug: string; readonly detail: string };
const badRequest: Unreadable = { status: 400, slug: "bad-request", detail: "this is not a request that can be read" };
const internalError: Unreadable = { status: 500, slug: "internal", detail: "this is our fault" };
/** Other faults the parser of HTTP finds are bad requests. */
const unreadable: Readonly<Record<string, Unreadable>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    slug: "headers-too-large",
    detail: `the request line and headers may have ${maxHeaderBytes} bytes at most`,
  },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, slug: "request-timeout", detail: "the request did not arrive in time" },
};

/**
 * Serves an app over HTTP/1.1. Rejects with `StartRefused` when the port cannot be had. `requestTimeout` is for
 * receiving a request: an answer may take longer (`wait`).
 */
export function listen(app: Fetchable, { host, port }: { readonly host: string; readonly port: number }): Promise<Listening> {
  const options = {
    headersTimeout: 10_000,
    requestTimeout: 30_000,
    // Longer than the idle time of load balancers, which would otherwise send into a closing connection.
    keepAliveTimeout: 75_000,
    maxHeaderSize: maxHeaderBytes,
    connectionsCheckingInterval: 5000,
  };
  const server = createServer(
    options,
    getRequestListener((request, bindings) => app.fetch(request, bindings), { errorHandler }),
  );
  server.maxConnections = maxConnections;

  const answering = new Map<Duplex, ServerResponse>();
  let closing: Promise<void> | null = null;
  server.on("request", ({ socket }, response) => {
    answering.set(socket, response);
    response.once("close", () => answering.delete(socket));
    if (closing !== null) response.setHeader("connection", "close");
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const isAnswered = answering.get(socket)?.headersSent === true;
    if (error.code === "ECONNRESET" || !socket.writable || isAnswered) socket.destroy();
    else socket.end(rawAnswer(unreadable[error.code ?? ""] ?? badRequest));
  });

  const close = (graceMs: number): Promise<void> =>
    (closing ??= new Promise((resolve) => {
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      server.close(() => {
        clearTimeout(timer);
        resolve();
      });
      // Idle connections are closed by now; one that were kept open after its answer would hold the close up until the grace is over.
      for (const response of answering.values()) if (!response.headersSent) response.setHeader("connection", "close");
    }));

  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(new StartRefused(`cannot listen on ${host}:${port}: ${error.code ?? error.message}`, { cause: error })),
    );
    server.listen(port, host, () => {
      const address = server.address();
      resolve({ port: typeof address === "object" && address !== null ? address.port : port, close });
    });
  });
}

/** An app answers its own errors: this is only for what never reaches it, such as a Host that is no host. */
function errorHandler(error: unknown): Response {
  return new Response(...unreadableAnswer(error instanceof RequestError ? badRequest : internalError));
}

function unreadableAnswer(fault: Unreadable): [string, { status: number; headers: Record<string, string> }] {
  const requestId = randomUUID();
  const body = JSON.stringify(problemBody({ ...fault, title: STATUS_CODES[fault.status] ?? "Error" }, requestId));
  return [body, { status: fault.status, headers: { "content-type": "application/problem+json", "x-request-id": requestId } }];
}

/** The same for a socket that has no response yet. */
function rawAnswer(fault: Unreadable): string {
  const [body, { headers }] = unreadableAnswer(fault);
  const fields = { ...headers, "content-length": String(Buffer.byteLength(body)), connection: "close" };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  return `HTTP/1.1 ${fault.status} ${STATUS_CODES[fault.status] ?? ""}\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}
