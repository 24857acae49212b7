import type { Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import { StartRefused } from "../domain/errors.ts";

type Fetchable = { fetch(request: Request): Response | Promise<Response> };

export type Listening = {
  /** As it was bound: the one chosen where 0 was asked for. */
  readonly port: number;
  /** Accepts no more, lets what runs finish within `graceMs`, then closes every connection. */
  close(graceMs: number): Promise<void>;
};

const maxConnections = 10_000;
const maxHeaderBytes = 16 * 1024;

/** Serves an app over HTTP/1.1. `requestTimeout` is for receiving a request: an answer may take longer (`wait`). */
export function listen(app: Fetchable, { host, port }: { readonly host: string; readonly port: number }): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: (request) => app.fetch(request),
    serverOptions: {
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      // Longer than the idle time of load balancers, which would otherwise send into a closing connection.
      keepAliveTimeout: 75_000,
      maxHeaderSize: maxHeaderBytes,
      connectionsCheckingInterval: 5000,
    },
  }) as Server;
  server.maxConnections = maxConnections;
  let closing: Promise<void> | null = null;
  const close = (graceMs: number) => {
    closing ??= new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      server.on("close", () => clearTimeout(timer));
    });
    return closing;
  };
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(new StartRefused(`cannot listen on ${host}:${port}: ${error.code ?? error.message}`, { cause: error })));
    server.listen(port, host, () => {
      const address = server.address();
      resolve({ port: typeof address === "object" && address !== null ? address.port : port, close });
    });
  });
}
