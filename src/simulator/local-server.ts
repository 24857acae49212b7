import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Longer than any poll interval and pause between webhooks, so that the client decides when an idle connection ends. */
const keepAliveTimeout = 75_000;
const backlog = 4096;
const maxBodyBytes = 1_048_576;

export type LocalAddress = {
  /** Port; 0 (the default) picks a free one. */
  readonly port?: number;
  /** Address of this machine; 127.0.0.1 by default. */
  readonly host?: string;
};

/** HTTP server of a simulated peer. */
export abstract class LocalServer implements AsyncDisposable {
  readonly #server = createServer({ keepAliveTimeout }, (request, response) => {
    this.answer(request, response).catch(() => response.destroy());
  });

  /** Answers a request. A rejection closes its connection. */
  protected abstract answer(request: IncomingMessage, response: ServerResponse): Promise<void>;

  /** Starts listening. Rejects with the error of the socket. */
  listen({ port = 0, host = "127.0.0.1" }: LocalAddress): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, backlog, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  /** Closes every connection. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Reads a body; `null` if it is longer than 1 MiB. */
export async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBodyBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Reads the JSON of a request; `undefined` if the body is not JSON or longer than 1 MiB. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  try {
    return JSON.parse(String((await readBody(request)) ?? ""));
  } catch {
    return undefined;
  }
}
