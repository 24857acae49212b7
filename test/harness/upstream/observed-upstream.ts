import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Pool } from "undici";
import { onTestFinished } from "vitest";
import type { Simulator } from "../../../src/simulator/simulator.ts";

export type ObservedPoll = {
  /** Instance that polled. */
  readonly instance: string;
  readonly callSid: string;
  /** Wall time, epoch milliseconds, as the request came in. */
  readonly startedAtMs: number;
  /** When the answer was handed over; `null` if the instance was gone by then. */
  endedAtMs: number | null;
  /** Status in the answer; `null` unless it was a 200. */
  status: string | null;
};

/** Forwards the polls of each instance to the simulator and notes which instance polled which call when. */
export class ObservedUpstream {
  readonly polls: ObservedPoll[] = [];
  readonly #pool: Pool;
  readonly #servers: Server[] = [];

  constructor(simulator: Simulator) {
    this.#pool = new Pool(simulator.url, { connections: 64 });
    onTestFinished(async () => {
      for (const server of this.#servers) server.closeAllConnections();
      for (const server of this.#servers) server.close();
      await this.#pool.destroy();
    });
  }

  /** Base URL of the upstream for one instance. */
  async urlFor(instance: string): Promise<string> {
    const server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => void this.#forward(instance, request, response));
    this.#servers.push(server);
    server.listen(0, "127.0.0.1", 4096);
    await once(server, "listening");
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async #forward(instance: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    const callSid = /\/outbound-calling\/([^/]+)\/status/.exec(path)?.[1] ?? "";
    const poll: ObservedPoll = { instance, callSid, startedAtMs: Date.now(), endedAtMs: null, status: null };
    this.polls.push(poll);
    try {
      const answer = await this.#pool.request({ path, method: "GET", headers: { "x-polyai-auth-token": "any" } });
      const body = await answer.body.text();
      if (answer.statusCode === 200) poll.status = (JSON.parse(body) as { readonly status: string }).status;
      const retryAfter = answer.headers["retry-after"]?.toString();
      const headers = retryAfter === undefined ? {} : { "retry-after": retryAfter };
      response.writeHead(answer.statusCode, { ...headers, "content-type": "application/json", "content-length": Buffer.byteLength(body) });
      response.end(body);
      if (!response.destroyed) poll.endedAtMs = Date.now();
    } catch {
      response.destroy();
    }
  }
}
