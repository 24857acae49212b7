import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";
import { Agent, request } from "undici";

/** Longest time that a first webhook is waited for after the last registration; one that is missing then counts as this late. */
const mostWaitMs = 15_000;
const lookEveryMs = 10;

/** What an account was answered over some seconds; durations in milliseconds. */
export type Span = {
  /** From the request to the end of its answer. */
  readonly registrationMs: readonly number[];
  /** From the poll that saw a transition to the webhook. */
  readonly seenMs: readonly number[];
  /** From the registration to the first webhook of its watch. */
  readonly firstMs: readonly number[];
  /** Of a POST to an empty route of another process at the same times: the part of the machine. */
  readonly emptyMs: readonly number[];
  readonly unavailable: number;
  /** Answers that are neither 201 nor 503, and exchanges without an answer. */
  readonly failed: number;
};

type OpenSpan = { registrationMs: number[]; seenMs: number[]; firstMs: number[]; emptyMs: number[]; unavailable: number; failed: number };

/** An account with a few registrations a second, and its receiver. */
export class Victim implements AsyncDisposable {
  readonly #urls: readonly string[];
  readonly #key: string;
  readonly #emptyUrl: string;
  readonly #agent = new Agent({ connections: 32, pipelining: 1, allowH2: false });
  readonly #receiver = createServer((incoming, response) => {
    const atMs = performance.timeOrigin + performance.now();
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      response.writeHead(204).end();
      this.#take(JSON.parse(Buffer.concat(chunks).toString()) as { timestamp: string; data: { call_sid: string } }, atMs);
    });
  });
  /** When the calls were registered whose first webhook has not arrived. */
  readonly #waiting = new Map<string, number>();
  #span: OpenSpan = { registrationMs: [], seenMs: [], firstMs: [], emptyMs: [], unavailable: 0, failed: 0 };
  #calls = 0;

  private constructor(urls: readonly string[], key: string, emptyUrl: string) {
    this.#emptyUrl = emptyUrl;
    this.#urls = urls;
    this.#key = key;
  }

  /** Starts the receiver of an account of this service. `emptyUrl` is the origin of the empty route. */
  static async start(urls: readonly string[], key: string, emptyUrl: string): Promise<Victim> {
    const victim = new Victim(urls, key, emptyUrl);
    await new Promise<void>((resolve) => victim.#receiver.listen(0, "127.0.0.1", resolve));
    return victim;
  }

  /** Registers a call every `everyMs`, however long the answers take, for as long as `isOver` is false; then waits for the first webhooks. */
  async measure(everyMs: number, isOver: () => boolean): Promise<Span> {
    const span: OpenSpan = { registrationMs: [], seenMs: [], firstMs: [], emptyMs: [], unavailable: 0, failed: 0 };
    this.#span = span;
    const startedMs = performance.now();
    const requests: Promise<void>[] = [];
    for (let turn = 1; !isOver(); turn++) {
      requests.push(this.#register(span), this.#postEmpty(span));
      await setTimeout(Math.max(0, startedMs + turn * everyMs - performance.now()));
    }
    await Promise.all(requests);
    const latestMs = performance.now() + mostWaitMs;
    while (this.#waiting.size > 0 && performance.now() < latestMs) await setTimeout(lookEveryMs);
    const nowMs = performance.timeOrigin + performance.now();
    for (const sentAtMs of this.#waiting.values()) span.firstMs.push(nowMs - sentAtMs);
    this.#waiting.clear();
    return span;
  }

  async #register(span: OpenSpan): Promise<void> {
    const index = this.#calls++;
    const callSid = `OUT-victim-${index}`;
    const sentAtMs = performance.timeOrigin + performance.now();
    this.#waiting.set(callSid, sentAtMs);
    const status = await this.#post(this.#urls[index % this.#urls.length] ?? "", callSid);
    span.registrationMs.push(performance.timeOrigin + performance.now() - sentAtMs);
    if (status === 201) return;
    this.#waiting.delete(callSid);
    if (status === 503) span.unavailable += 1;
    else span.failed += 1;
  }

  async #postEmpty(span: OpenSpan): Promise<void> {
    const sentAtMs = performance.now();
    await this.#post(this.#emptyUrl, "OUT-victim-none");
    span.emptyMs.push(performance.now() - sentAtMs);
  }

  async #post(url: string, callSid: string): Promise<number> {
    const { port } = this.#receiver.address() as AddressInfo;
    try {
      const { statusCode, body } = await request(`${url}/v1/watches`, {
        method: "POST",
        dispatcher: this.#agent,
        headers: { authorization: `Bearer ${this.#key}`, "content-type": "application/json" },
        body: JSON.stringify({ call_sid: callSid, callback_url: `http://127.0.0.1:${port}/hook` }),
        signal: AbortSignal.timeout(mostWaitMs),
      });
      await body.dump();
      return statusCode;
    } catch {
      return 0;
    }
  }

  #take({ timestamp, data }: { readonly timestamp: string; readonly data: { readonly call_sid: string } }, atMs: number): void {
    this.#span.seenMs.push(atMs - Date.parse(timestamp));
    const sentAtMs = this.#waiting.get(data.call_sid);
    if (sentAtMs === undefined) return;
    this.#waiting.delete(data.call_sid);
    this.#span.firstMs.push(atMs - sentAtMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#receiver.closeAllConnections();
    this.#receiver.close();
    await this.#agent.destroy();
  }
}
